import type { Name } from "../../proto/names.ts";
import { LANES, type Lane } from "../../proto/subjects.ts";
import type { JobDelivery } from "../shared/bus.ts";
import type { Log } from "../shared/log.ts";

/** How long an idle node waits before it looks again on its own: a wake-up may have been lost with a connection. */
const IDLE_POLL_MS = 1_000;
/** The job of a fresh accept is on its way through the relay for some ms: asked for again soon, then less and less often. */
const RETRY_MIN_MS = 2;
const RETRY_MAX_MS = 250;
/** A pull in vain costs 20 ms: with many orgs whose jobs are not to be had, a round of one after another would take seconds. */
const PULLS_AT_ONCE = 16;

/** An org and how many of its publishes have not ended; those that wait for a turn of their project are none of them. */
export interface Backlog {
  readonly org: Name;
  readonly publishes: number;
}

export interface JobLoopOptions {
  /** Jobs that this node handles at once. */
  slots(): number;
  /** Orgs with queued work, from the local state. */
  backlog(): readonly Backlog[];
  /** No-wait pull of one job of one org. */
  pull(lane: Lane, org: Name): Promise<JobDelivery | undefined>;
  /** Handles a job to its end, its acknowledgement included; never rejects. */
  handle(job: JobDelivery): Promise<void>;
  readonly log: Log;
}

/**
 * Pulls one job per free slot, round robin over the orgs that have work, so that an org with a thousand queued jobs delays
 * the others by its own running jobs only. A round that ended because the slots were full goes on with the next org.
 */
export class JobLoop {
  readonly #options: JobLoopOptions;
  readonly #running = new Set<Promise<void>>();
  #stopping = false;
  readonly #runningOf = new Map<Name, number>();
  #pulling = 0;
  /** The org that was asked last. */
  #last: Name | undefined;
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
    const orgs = this.#orgsInTurn();
    const next = orgs.values();
    let pulled = false;
    const pullOneByOne = async (): Promise<void> => {
      while (!this.#stopping && this.#running.size + this.#pulling < this.#options.slots()) {
        const { value: org } = next.next();
        if (org === undefined) return;
        this.#last = org;
        if (await this.#pullFrom(org)) pulled = true;
      }
    };
    const pullers = Array.from({ length: Math.min(PULLS_AT_ONCE, orgs.length) }, pullOneByOne);
    const failed = (await Promise.allSettled(pullers)).find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const isFull = this.#running.size >= this.#options.slots();
    if (pulled && !isFull) this.#rang = true;
    // What ends rings.
    return orgs.length > 0 && !isFull;
  }

  /** Orgs with more work than runs here, beginning behind the one that was asked last. */
  #orgsInTurn(): Name[] {
    const waiting = this.#options
      .backlog()
      .filter(({ org, publishes }) => publishes > (this.#runningOf.get(org) ?? 0))
      .map(({ org }) => org);
    const last = this.#last;
    const first = last === undefined ? -1 : waiting.findIndex((org) => org > last);
    return first <= 0 ? waiting : [...waiting.slice(first), ...waiting.slice(0, first)];
  }

  async #pullFrom(org: Name): Promise<boolean> {
    this.#pulling += 1;
    try {
      for (const lane of LANES) {
        const job = await this.#options.pull(lane, org);
        if (job === undefined) continue;
        this.#begin(job, org);
        return true;
      }
      return false;
    } finally {
      this.#pulling -= 1;
    }
  }

  #begin(job: JobDelivery, org: Name): void {
    this.#count(org, 1);
    const running = this.#options.handle(job).finally(() => {
      this.#running.delete(running);
      this.#count(org, -1);
      this.ring();
    });
    this.#running.add(running);
  }

  #count(org: Name, change: number): void {
    const count = (this.#runningOf.get(org) ?? 0) + change;
    if (count === 0) this.#runningOf.delete(org);
    else this.#runningOf.set(org, count);
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
