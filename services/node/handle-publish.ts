import type { Command, CommandBody, CommandResult } from "../../proto/commands.ts";
import { type Digest, isDigest } from "../../proto/digest.ts";
import { GranaryError, type WireError } from "../../proto/errors.ts";
import { type ArchiveLimits, LIMITS } from "../../proto/limits.ts";
import type { SealedLog } from "../../proto/publish-log.ts";
import { type PublishRecord, TERMINAL_STATES } from "../../proto/records.ts";
import type { ExtractResult } from "../../proto/worker-tasks.ts";
import type { Store } from "../../store/store.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import { baseArtifacts } from "../shared/base-artifacts.ts";
import type { JobDelivery } from "../shared/bus.ts";
import type { Log } from "../shared/log.ts";
import type { PublishLogs } from "../shared/publish-logs.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS } from "../shared/state-keys.ts";
import { findProject, findPublish } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import { AttemptLog } from "./attempt-log.ts";
import { removePublishUpload, runPublishTask } from "./publish-task.ts";

/** A thread that reports nothing for this long is taken for hung. Hashing 8 MiB takes 6 ms, a slow disk a second. */
const STALL_MS = 30_000;
/** Half of the queue's ack_wait, with room for one lost heartbeat. */
const HEARTBEAT_MS = 10_000;
/** A thread may die of something that is not the archive's fault: the publish gets this many threads. */
const THREAD_ATTEMPTS = 2;

export interface PublishContext {
  readonly node: string;
  readonly store: Store;
  readonly pool: WorkerPool;
  read<T>(body: (view: StateView) => T): T;
  readonly limits: ArchiveLimits;
  readonly log: Log;
  readonly publishLogs: PublishLogs;
  submit(command: Command): Promise<CommandResult>;
}

/**
 * Runs publish jobs to their end on this node. Effects are idempotent or fenced by (publish id, attempt), so a job that is
 * delivered twice, late, or to two nodes changes nothing twice; the job is acknowledged last.
 */
export class PublishHandler {
  readonly #context: PublishContext;
  readonly #running = new Map<string, AbortController>();
  /** How many deliveries of a publish this process handed back itself, for a full disk say: they are no sign of poison. */
  readonly #handedBack = new Map<string, number>();
  /** What goes on behind publishes whose slot is free. */
  readonly #tidying = new Set<Promise<void>>();

  constructor(context: PublishContext) {
    this.#context = context;
  }

  /**
   * A publish has changed. Where it has ended, also elsewhere or because it was cancelled, its task stops. The upload of one that never
   * began goes at once, because a job that was not sent before the end never comes; so does that of one that waits to be tried again, for
   * room on the disk say: its job comes when its org publishes the next time.
   */
  changed(publishId: string): void {
    const record = this.#context.read((view) => findPublish(view, publishId));
    if (record !== undefined && !TERMINAL_STATES.has(record.state)) return;
    const wasHandedBack = this.#handedBack.delete(publishId);
    // A reason of ours: a DOMException with its stack is 0.1 ms for each publish.
    const running = this.#running.get(publishId);
    running?.abort(ENDED);
    if (record === undefined) return;
    const waits = running === undefined && wasHandedBack;
    if (waits || record.attempt === 0) this.#tidyLater(record);
  }

  /** Hands everything back at once: for a shutdown whose grace is over. */
  stopAll(): void {
    for (const controller of this.#running.values()) controller.abort();
  }

  /** Resolves when nothing goes on any more behind jobs that were handled. */
  async tidied(): Promise<void> {
    while (this.#tidying.size > 0) await Promise.all(this.#tidying);
  }

  /** @returns when the job was acknowledged or handed back; never rejects */
  async handle(delivery: JobDelivery): Promise<void> {
    const { publish_id: id } = delivery.job;
    const heartbeat = setInterval(() => delivery.working(), HEARTBEAT_MS);
    try {
      await this.#run(delivery);
    } catch (error) {
      this.#context.log.warn(
        { publish_id: id, deliveries: delivery.deliveries, err: error },
        "publish job handed back",
      );
      this.#handBack(delivery, Math.min(500 * 2 ** delivery.deliveries, 15_000));
    } finally {
      clearInterval(heartbeat);
    }
  }

  async #run(delivery: JobDelivery): Promise<void> {
    const { publish_id: id } = delivery.job;
    const { record, hasTurn, seq } = this.#context.read((view) => standingOf(view, id));
    // The state of this node may be behind the relay that sent the job: hand it back, it will have caught up.
    if (record === undefined || seq < (delivery.job.turn ?? 0))
      throw new GranaryError("UNAVAILABLE", `publish ${id} is not in the local state yet`);
    if (TERMINAL_STATES.has(record.state)) return this.#finish(delivery, record);
    // From before its project's `max_concurrency`: with its turn another job comes.
    if (!hasTurn) return this.#acknowledge(delivery);
    if (this.#running.has(id)) return this.#handBack(delivery, 1_000);
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      await this.#attempt(delivery, record, controller.signal);
    } finally {
      this.#running.delete(id);
    }
  }

  async #attempt(delivery: JobDelivery, record: PublishRecord, signal: AbortSignal): Promise<void> {
    const attempt = record.attempt + 1;
    // Before the state says that it runs: a reader then would take the log for lost.
    const log = this.#beginLog(record, attempt);
    const by = { publish_id: record.publish_id, attempt, node: this.#context.node };
    const started = await this.#submit(record, { type: "start", ...by });
    if (!started.ok) return this.#handBack(delivery, 1_000);
    const work = this.#work(delivery, record, { by, signal, log });
    if ((await unlessAborted(work, signal)) !== "aborted") return this.#finish(delivery, record);
    // A thread, a sync or a full queue may keep the work for seconds: nobody waits for it any more, least of all the slot.
    this.#tidyLater(record, work);
    if (this.#hasEnded(record.publish_id)) await this.#acknowledge(delivery);
    else this.#handBack(delivery, 0);
  }

  #handBack(delivery: JobDelivery, delayMs: number): void {
    const { publish_id: id } = delivery.job;
    this.#handedBack.set(id, (this.#handedBack.get(id) ?? 0) + 1);
    delivery.nak(delayMs);
  }

  #acknowledge(delivery: JobDelivery): Promise<void> {
    this.#handedBack.delete(delivery.job.publish_id);
    return delivery.ack();
  }

  /** From the upload to the terminal command. */
  async #work(
    delivery: JobDelivery,
    record: PublishRecord,
    { by, signal, log }: { by: Attempt; signal: AbortSignal; log: AttemptLog },
  ): Promise<void> {
    const unanswered = delivery.deliveries - (this.#handedBack.get(record.publish_id) ?? 0);
    const poison = unanswered > LIMITS.jobDeliveries;
    const outcome = poison ? poisoned(delivery) : await this.#extract(record, signal, log);
    if (outcome === "stopped" || signal.aborted) return;
    if (outcome.ok) {
      const { artifact, stats, log: sealed } = outcome.value;
      await this.#submit(record, { type: "ready", ...by, artifact, stats, log: sealed });
      return;
    }
    const sealed = await this.#sealLog(record);
    await this.#submit(record, {
      type: "fail",
      ...by,
      error: outcome.error,
      ...(sealed === undefined ? {} : { log: sealed }),
    });
  }

  #beginLog(record: PublishRecord, attempt: number): AttemptLog {
    const log = new AttemptLog(this.#context.publishLogs, { publishId: record.publish_id, attempt });
    if (attempt > 1 && log.lines.length === 0)
      log.add("warn", `the log of attempt ${attempt - 1} was cut off: what ran it is gone`);
    log.add("info", `attempt ${attempt} on node ${this.#context.node}`);
    return log;
  }

  /** A publish ends also when its log cannot be stored. */
  async #sealLog(record: PublishRecord): Promise<SealedLog | undefined> {
    try {
      const { publish_id: publishId, attempt } = record;
      return await new AttemptLog(this.#context.publishLogs, { publishId, attempt }).seal(this.#context);
    } catch (error) {
      this.#context.log.warn({ publish_id: record.publish_id, err: error }, "a log could not be stored");
      return undefined;
    }
  }

  /** The terminal command is applied here: the queue may forget the job, and the rest needs no slot. */
  async #finish(delivery: JobDelivery, record: PublishRecord): Promise<void> {
    await this.#acknowledge(delivery);
    this.#tidyLater(record);
  }

  #tidyLater(record: PublishRecord, work: Promise<void> = Promise.resolve()): void {
    const tidying = this.#tidy(record.publish_id, work)
      .catch((error: unknown) =>
        this.#context.log.warn({ publish_id: record.publish_id, err: error }, "a publish was not tidied up"),
      )
      .finally(() => this.#tidying.delete(tidying));
    this.#tidying.add(tidying);
  }

  /**
   * Behind a publish that has ended: its log is stored, if `ready` or `fail` has not done that, then its upload goes, and with it the
   * lease that holds what was committed. What a crash leaves of it, {@link reconcileInbox} finds.
   */
  async #tidy(publishId: string, work: Promise<void>): Promise<void> {
    await work.catch(() => undefined);
    const record = this.#context.read((view) => findPublish(view, publishId));
    if (record === undefined || !TERMINAL_STATES.has(record.state)) return;
    await this.#keepLog(record);
    await removePublishUpload(this.#context.store, record);
  }

  async #keepLog(record: PublishRecord): Promise<void> {
    const { read, publishLogs, node } = this.#context;
    const { publish_id, attempt } = record;
    if (publishLogs.lines(publish_id).length === 0) return;
    const isKept = (): boolean => read((view) => view.get(KEYS.publishLog(publish_id))) !== undefined;
    // That of the last attempt counts, wherever it ran.
    const isOurs = record.node === node;
    const sealed = isKept() || !isOurs ? undefined : await this.#sealLog(record);
    if (sealed !== undefined) await this.#submit(record, { type: "log", publish_id, attempt, log: sealed });
    if (isKept() || !isOurs) publishLogs.remove(publish_id);
  }

  #hasEnded(publishId: string): boolean {
    const state = this.#context.read((view) => findPublish(view, publishId))?.state;
    return state !== undefined && TERMINAL_STATES.has(state);
  }

  async #extract(
    record: PublishRecord,
    signal: AbortSignal,
    log: AttemptLog,
  ): Promise<ReturnType<typeof failed> | { ok: true; value: ExtractResult } | "stopped"> {
    for (let thread = 1; ; thread++) {
      try {
        return await this.#extractOnce(record, signal, log);
      } catch (error) {
        if (!(error instanceof GranaryError)) throw error;
        if (error.code === "CANCELLED") return "stopped";
        log.add("error", `${error.code}: ${error.message}`);
        // What is gone has to be sent again: only the publisher can help, so the job is not kept for later.
        if (error.spec.retryable && error.code !== "CONTENT_GONE") throw error;
        if (error.code !== "ARCHIVE_WORKER_DIED" || thread >= THREAD_ATTEMPTS) return failed(error);
        log.add("warn", "once more, on another thread");
        this.#context.log.error(
          { publish_id: record.publish_id, err: error },
          "worker thread died; trying once more",
        );
      }
    }
  }

  async #extractOnce(
    record: PublishRecord,
    signal: AbortSignal,
    log: AttemptLog,
  ): Promise<{ ok: true; value: ExtractResult } | ReturnType<typeof failed>> {
    const { store, pool, limits } = this.#context;
    const task = {
      record,
      limits,
      portableNames:
        this.#context.read((view) => findProject(view, record))?.settings.portable_names === true,
      ...this.#baseOf(record),
    };
    try {
      const outcome = await log.during((taskLog, port) =>
        runPublishTask(
          { store, pool },
          { ...task, log: taskLog },
          { signal, stallMs: STALL_MS, deadlineMs: limits.extractMs, transfer: [port] },
        ),
      );
      if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
      await store.commit(outcome.value.commit, { heldBy: record.publish_id });
      return outcome;
    } catch (error) {
      throw await this.#asGone(record, error);
    }
  }

  /**
   * Content that a thread found damaged counts as absent once the store has looked at it: an archive brings it again, and who sent a
   * listing is told to plan anew.
   */
  async #asGone(record: PublishRecord, error: unknown): Promise<unknown> {
    if (!(error instanceof GranaryError) || error.code !== "STORE_CORRUPT") return error;
    const { digest } = error.detail;
    if (!isDigest(digest)) return error;
    await this.#context.store.verify(digest).catch(() => undefined);
    if (record.upload.form !== "listing") return error;
    return new GranaryError(
      "CONTENT_GONE",
      `content that was there has been damaged: ${digest}`,
      { digest },
      { cause: error },
    );
  }

  #baseOf(record: PublishRecord): { baseTrees: Digest[]; baseLayers: Digest[] } {
    const artifacts = this.#context.read((view) => baseArtifacts(view, record));
    const kept = artifacts.filter((artifact) => this.#context.store.stat(artifact.tree) !== undefined);
    return {
      baseTrees: [...new Set(kept.map((artifact) => artifact.tree))],
      baseLayers: kept.flatMap((artifact) => artifact.layers.map((layer) => layer.digest)),
    };
  }

  #submit(record: PublishRecord, body: CommandBody): Promise<CommandResult> {
    return this.#context.submit({
      v: 1,
      id: newId("cmd"),
      actor: { kind: "system", id: this.#context.node },
      org: record.org,
      project: record.project,
      body,
    });
  }
}

interface Attempt {
  readonly publish_id: string;
  readonly attempt: number;
  readonly node: string;
}

/** @returns "aborted" as soon as the signal fires; what was waited for goes on */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<"aborted" | undefined> {
  const aborted = new Promise<"aborted">((resolve) => {
    signal.addEventListener("abort", () => resolve("aborted"), { once: true });
    if (signal.aborted) resolve("aborted");
  });
  return (await Promise.race([aborted, work])) ?? undefined;
}

function standingOf(
  view: StateView,
  publishId: string,
): { record: PublishRecord | undefined; hasTurn: boolean; seq: number } {
  const record = findPublish(view, publishId);
  const hasTurn = record !== undefined && view.get(KEYS.waitingWork(record, record.order)) === undefined;
  return { record, hasTurn, seq: view.get(KEYS.meta())?.seq ?? 0 };
}

/** Why a task is aborted whose publish has ended. */
const ENDED = "the publish has ended";

function failed(error: GranaryError): { ok: false; error: WireError } {
  return { ok: false, error: error.toWire() };
}

/** A job that brought down whatever ran it, again and again, ends instead of going round for ever. */
function poisoned(delivery: JobDelivery): ReturnType<typeof failed> {
  return failed(
    new GranaryError(
      "ARCHIVE_WORKER_DIED",
      `the publish was given up after ${delivery.deliveries - 1} deliveries that never ended`,
      {
        actual: delivery.deliveries,
        limit: LIMITS.jobDeliveries,
      },
    ),
  );
}
