import { GranaryError } from "../../proto/errors.ts";
import type { GcJson, GcRunJson } from "../../proto/http-store.ts";
import type { GcSettings } from "../../proto/settings.ts";
import type { GcResult } from "../../store/collect-garbage.ts";
import type { GcRoot } from "../../store/gc-root.ts";
import type { Store } from "../../store/store.ts";
import { artifactsNaming } from "../shared/artifacts-naming.ts";
import { gcRoots } from "../shared/content-roots.ts";
import type { Log } from "../shared/log.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { BACKUP_LEASE } from "../shared/write-backup.ts";

/** How often age and size of the store are looked at: the statistics are a read of the index. */
const CHECK_MS = 30_000;
/** A farm that is restarted often collects too. */
const FIRST_RUN_MS = 15 * 60_000;
/** A run for the budget that did not get below it is not tried again sooner: everything may be needed. */
const BUDGET_PAUSE_MS = 10 * 60_000;

export interface GcRequest {
  readonly dryRun: boolean;
  readonly graceMs: number;
  readonly signal?: AbortSignal;
}

interface Options {
  readonly store: Pick<Store, "collectGarbage" | "leases" | "listingOfLayer" | "stats">;
  readonly settings: GcSettings;
  readonly log: Log;
  read<T>(body: (view: StateView) => T): T;
  /** Resolves when the state here is the log's, see `confirmHead`. @throws GranaryError UNAVAILABLE: then nothing is collected */
  confirm(): Promise<void>;
  now(): number;
}

/**
 * Garbage collection of this node's store: on request, by age, and when the store is larger than its budget. What stays is decided
 * here (roots, from a state that is confirmed to be current), how the rest goes in the store.
 */
export class GarbageCollector {
  readonly #options: Options;
  readonly #closing = new AbortController();
  readonly #startedMs: number;
  #last: GcRunJson | null = null;
  #lastMs: number | undefined;
  #lastBudgetMs = Number.NEGATIVE_INFINITY;
  #running: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#startedMs = options.now();
  }

  /** The last run that was no dry run; null: none since the start. */
  get last(): GcRunJson | null {
    return this.#last;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      this.#running = this.tick().catch(() => undefined);
    }, CHECK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#running;
  }

  /** @throws GranaryError UNAVAILABLE without a current state, STATE_CONFLICT beside another run or a backup, STORE_* */
  collect(request: GcRequest): Promise<GcJson> {
    return this.#run("request", request);
  }

  /** Collects if it is due, by size or by age. A failure is logged and shown as the last run. */
  async tick(): Promise<void> {
    const { settings, store, log, now } = this.#options;
    const due = this.#due();
    if (due === undefined) return;
    const graceMs = due === "budget" ? 0 : settings.graceMs;
    try {
      await this.#run(due, { dryRun: false, graceMs, signal: this.#closing.signal });
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      log.warn({ err: error, cause: due }, "garbage could not be collected; it is tried again");
    }
    if (due !== "budget") return;
    this.#lastBudgetMs = now();
    const { diskBytes } = store.stats();
    const budget = settings.budgetBytes ?? 0;
    if (diskBytes > budget)
      log.warn(
        { disk_bytes: diskBytes, store_budget_bytes: budget },
        "the store is larger than its budget, and everything in it is needed: retire releases or raise store_budget_bytes",
      );
  }

  #due(): "budget" | "age" | undefined {
    const { settings, store, now } = this.#options;
    const nowMs = now();
    const { budgetBytes, intervalMs } = settings;
    const isOver = budgetBytes !== undefined && store.stats().diskBytes > budgetBytes;
    if (isOver && nowMs - this.#lastBudgetMs >= BUDGET_PAUSE_MS) return "budget";
    if (intervalMs === undefined) return undefined;
    const dueMs =
      this.#lastMs === undefined
        ? this.#startedMs + Math.min(intervalMs, FIRST_RUN_MS)
        : this.#lastMs + intervalMs;
    return nowMs >= dueMs ? "age" : undefined;
  }

  async #run(cause: GcRunJson["cause"], request: GcRequest): Promise<GcJson> {
    const { store, log, now } = this.#options;
    const at = new Date(now()).toISOString();
    const { dryRun } = request;
    if (!dryRun) this.#lastMs = now();
    try {
      const result = await store.collectGarbage({
        ...request,
        // Who asks was told by a dry run what comes back; and a store beyond its budget needs it.
        compactFully: cause !== "age",
        roots: () => this.#roots(),
        artifactsNaming: (digests) => artifactsNaming(digests, this.#options),
      });
      const { deleted, waiting, segments, reclaimableBytes, reclaimedBytes, durationMs } = result;
      const json: GcJson = {
        ...(dryRun ? { reclaimable_bytes: reclaimableBytes } : { reclaimed_bytes: reclaimedBytes }),
        blobs: deleted.blobs + (dryRun ? waiting.blobs : 0),
        segments: segments.dropped + segments.rewritten,
        waiting_blobs: waiting.blobs,
        waiting_bytes: waiting.bytes,
        ...(dryRun ? {} : { dead_bytes: reclaimableBytes - waiting.bytes }),
        ...(await this.#heldBack(result)),
        duration_ms: Math.round(durationMs),
      };
      if (dryRun) return json;
      this.#last = { at, cause, ...json };
      if (json.held_back_blobs === undefined) log.info({ gc: this.#last }, "garbage was collected");
      else
        log.error(
          { gc: this.#last },
          "STORE_CORRUPT: listings are damaged, and content that they may name is kept: publish those releases again, or retire them",
        );
      return json;
    } catch (error) {
      const code = error instanceof GranaryError ? error.code : "INTERNAL";
      if (!dryRun) this.#last = { at, cause, error: code };
      throw error;
    }
  }

  /** What could not be told from garbage, and because of which releases; nothing when all listings could be read. */
  async #heldBack({
    damaged,
    heldBack,
  }: GcResult): Promise<Pick<GcJson, "damaged" | "held_back_blobs" | "held_back_bytes">> {
    if (damaged.length === 0 && heldBack.blobs === 0) return {};
    const naming = await artifactsNaming(damaged, this.#options);
    return {
      damaged: damaged.map((digest) => ({
        digest,
        references: naming
          .filter(({ names }) => names.includes(digest))
          .map(({ org, project, ref }) => ({ org, project, ref })),
      })),
      held_back_blobs: heldBack.blobs,
      held_back_bytes: heldBack.bytes,
    };
  }

  /** Everything that has to stay, one after the other. The store reads its leases before it asks. */
  async *#roots(): AsyncGenerator<GcRoot> {
    const { store, read, confirm, now } = this.#options;
    const nowMs = now();
    if (store.leases().some(({ id, untilMs }) => id === BACKUP_LEASE && untilMs > nowMs))
      throw new GranaryError(
        "STATE_CONFLICT",
        "a backup of the store is being made; nothing is deleted meanwhile",
      );
    await confirm();
    yield* gcRoots(read);
  }
}
