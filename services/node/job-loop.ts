import type { Name } from "../../proto/names.ts";
import { LANES, type Lane } from "../../proto/subjects.ts";
import type { JobDelivery } from "../shared/bus.ts";
import type { Log } from "../shared/log.ts";

/** How long an idle node waits before it looks again on its own: a wake-up may have been lost with a connection. */
const IDLE_POLL_MS = 1_000;
/** The job of a fresh accept is on its way through the relay for some ms: asked for again soon, then less and less often. */
const RETRY_MIN_MS = 2;
const RETRY_MAX_MS = 250;

export interface JobLoopOptions {
  /** Jobs that this node handles at once. */
  slots(): number;
  /** Orgs with queued work, from the local state. */
  backlog(): readonly Name[];
  /** No-wait pull of one job of one org. */
  pull(lane: Lane, org: Name): Promise<JobDelivery | undefined>;
  /** Handles a job to its end, its acknowledgement included; never rejects. */
  handle(job: JobDelivery): Promise<void>;
  readonly log: Log;
}

/**
 * Pulls one job per free slot, round robin over the orgs that have work, so that an org with a thousand queued jobs delays
 * the others by its own running jobs only.
 */
export class JobLoop {
  readonly #options: JobLoopOptions;
  readonly #running = new Set<Promise<void>>();
  #stopping = false;
  #turn = 0;
  #retryMs = RETRY_MIN_MS;
  #wake: (() => void) | undefined;
  #rang = false;
  #loop: Promise<void> | undefined;

  constructor(options: JobLoopOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** New work may be there. */
  ring(): void {
    this.#rang = true;
    this.#retryMs = RETRY_MIN_MS;
    this.#wake?.();
  }

  /** Stops pulling and answers when everything that was begun has ended. */
  async drain(): Promise<void> {
    this.#stopping = true;
    this.ring();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#rang = false;
      const pulled = await this.#fillSlots().catch((error: unknown) => {
        this.#options.log.warn({ err: error }, "could not pull jobs; trying again");
        return false;
      });
      if (this.#rang || this.#stopping) continue;
      await this.#sleep(pulled ? this.#retryMs : IDLE_POLL_MS);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    }
  }

  /** One round over the orgs. @returns whether there is work that is waiting for a slot or a retry */
  async #fillSlots(): Promise<boolean> {
    const orgs = this.#options.backlog();
    let pulled = false;
    for (let i = 0; i < orgs.length && !this.#stopping; i++) {
      if (this.#running.size >= this.#options.slots()) return false;
      const org = orgs[(this.#turn + i) % orgs.length];
      if (org === undefined) continue;
      for (const lane of LANES) {
        const job = await this.#options.pull(lane, org);
        if (job === undefined) continue;
        pulled = true;
        this.#begin(job);
      }
    }
    this.#turn += 1;
    if (pulled && this.#running.size < this.#options.slots()) this.#rang = true;
    return orgs.length > 0;
  }

  #begin(job: JobDelivery): void {
    const running = this.#options.handle(job).finally(() => {
      this.#running.delete(running);
      this.ring();
    });
    this.#running.add(running);
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
