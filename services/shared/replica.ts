import { Worker } from "node:worker_threads";
import { GranaryError } from "../../proto/errors.ts";
import type { BusOptions } from "./bus.ts";
import { EVENTS_MAX_AGE_MS } from "./bus-streams.ts";
import { healthOfLog, type ReplicaHealth } from "./health-of-log.ts";
import { closedInOrder, recoverState } from "./recover-state.ts";
import type {
  Applied,
  ReplicaMessage,
  ReplicaOrder,
  ReplicaThreadData,
  SnapshotOptions,
  StateMark,
} from "./replica-messages.ts";
import { SeqWaiters } from "./replica-waiters.ts";
import { openStateReader } from "./state-db.ts";
import type { StateView } from "./state-db-tx.ts";

export type { Applied } from "./replica-messages.ts";

/** What a replica reports; a pino logger fits. */
export interface ReplicaLog {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
}

export interface ReplicaOptions {
  /** Folder of the state; one replica per folder. */
  readonly dir: string;
  readonly bus: Omit<BusOptions, "firstConnectMs" | "signal">;
  /** Whether jobs and events leave through this replica: that of the pointer role. It also makes the streams. */
  readonly relay: boolean;
  /** How long events stay in the state; default 30 days. */
  readonly eventsKeepMs?: number;
  readonly log: ReplicaLog;
  /** Commands between two comparisons of states. Default 10,000; the same for all replicas of a farm. */
  readonly digestEvery?: number;
  /** Absent: none are kept. A state that is missing is made from the newest. */
  readonly snapshots?: SnapshotOptions;
}

/** A local copy of the pointer's state that follows the command log in a thread of its own. */
export interface Replica {
  /** Position of the newest command that is applied here; the log, not this copy, is what keeps it in a power cut. */
  readonly appliedSeq: number;
  /** The last position at which this state was compared with what other replicas said; undefined before the first. */
  readonly compared: StateMark | undefined;
  /** Positions of the snapshots that are kept here, the newest first. */
  readonly snapshots: readonly number[];
  /** Resolves when everything that the log had at the start is applied. @throws GranaryError STATE_BEHIND, STORE_FORMAT ... */
  readonly ready: Promise<void>;
  /**
   * Why nothing can be applied any more, after a failed write or sync of the state, or damage that was found in it: the process has to
   * restart, which is where a damaged state is made anew.
   */
  readonly failed: GranaryError | undefined;
  /** Up: caught up once, and the log's head was confirmed within the last 2 s (ruling 12). */
  health(): ReplicaHealth;
  /** Since when this copy may lack something: since the log last said that there is no more than what is applied here. */
  unconfirmedMs(): number;
  /** Answers true as soon as `seq` is applied here, false after `timeoutMs`. */
  waitForSeq(seq: number, timeoutMs: number): Promise<boolean>;
  /** Calls back after each commit; returns what removes the listener. */
  onApplied(listener: (applied: Applied) => void): () => void;
  /** Calls back when a snapshot was taken, and with those that are there already; returns what removes the listener. */
  onSnapshots(listener: (seqs: readonly number[]) => void): () => void;
  /** Writes a copy of one moment of the state to a new file; not synced. */
  copyState(file: string): Promise<void>;
  /** Runs `body` synchronously on the newest committed state: one moment, never older than {@link appliedSeq}. */
  read<T>(body: (view: StateView) => T): T;
  close(): Promise<void>;
}

/**
 * Starts the replica's thread and answers when its state can be read, which may still be behind: see `ready`. A thread that
 * dies is started again after a pause; one that must not go on (the log is another one, an unknown command) is not.
 * @throws GranaryError STORE_CORRUPT when the state is damaged, STORE_FORMAT when another version wrote it
 */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  await recoverState({ ...options, snapshots: options.snapshots?.dir });
  const listeners = new Set<(applied: Applied) => void>();
  const waiters = new SeqWaiters();
  const ready = new Settled();
  const opened = new Settled();
  let appliedSeq = 0;
  const snapshotListeners = new Set<(seqs: readonly number[]) => void>();
  let snapshots: readonly number[] = [];
  let compared: StateMark | undefined;
  let caughtUp = false;
  let aliveAt = Number.NEGATIVE_INFINITY;
  let confirmedAt = Number.NEGATIVE_INFINITY;
  let closed = false;
  let failure: GranaryError | undefined;
  let backoffMs = MIN_BACKOFF_MS;
  let restart: NodeJS.Timeout | undefined;
  let thread: { worker: Worker; exited: Promise<void> } | undefined;

  const onMessage = (message: ReplicaMessage): void => {
    switch (message.type) {
      case "opened":
        appliedSeq = Math.max(appliedSeq, message.seq);
        opened.resolve();
        return;
      case "ready":
        caughtUp = true;
        backoffMs = MIN_BACKOFF_MS;
        failure = undefined;
        aliveAt = performance.now();
        confirmedAt = performance.now();
        ready.resolve();
        return;
      case "applied":
        appliedSeq = Math.max(appliedSeq, message.applied.seq);
        aliveAt = performance.now();
        waiters.reached(appliedSeq);
        for (const listener of listeners) listener(message.applied);
        return;
      case "digest":
        compared = { seq: message.seq, digest: message.digest };
        return;
      case "snapshots":
        snapshots = message.seqs;
        for (const listener of snapshotListeners) listener(snapshots);
        return;
      case "alive":
        aliveAt = performance.now();
        if (message.atHead) confirmedAt = performance.now();
        return;
      case "away":
        aliveAt = Number.NEGATIVE_INFINITY;
        return;
      case "log":
        options.log[message.level](message.detail, message.message);
        return;
      case "halted":
        failure = GranaryError.fromWire(message.error);
        return;
    }
  };

  const onExit = (): void => {
    thread = undefined;
    caughtUp = false;
    aliveAt = Number.NEGATIVE_INFINITY;
    if (closed) return;
    failure ??= new GranaryError("INTERNAL", "the replica's thread died");
    if (FINAL.includes(failure.code)) {
      options.log.warn({ err: failure }, "the replica halted; its state is served no further");
      opened.reject(failure);
      ready.reject(failure);
      return;
    }
    options.log.warn({ err: failure, delayMs: backoffMs }, "the replica's thread ended; starting it again");
    restart = setTimeout(start, backoffMs);
    backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
  };

  const start = (): void => {
    thread = startThread(options, {
      onMessage,
      onExit,
      onError: (error) => {
        failure = error;
      },
    });
  };

  start();
  await opened.promise;
  const state = openStateReader(options.dir);

  const close = async (): Promise<void> => {
    closed = true;
    clearTimeout(restart);
    waiters.close();
    ready.reject(new GranaryError("UNAVAILABLE", "the replica was closed"));
    if (thread !== undefined) await stopThread(thread);
    await state.close();
    if (failure === undefined) closedInOrder(options.dir);
  };
  let closing: Promise<void> | undefined;

  return {
    get appliedSeq() {
      return appliedSeq;
    },
    get compared() {
      return compared;
    },
    get snapshots() {
      return snapshots;
    },
    ready: ready.promise,
    get failed() {
      return failure !== undefined && ENDS.has(failure.code) ? failure : undefined;
    },
    health() {
      if (closed) return { up: false, reason: "the replica is closed" };
      if (failure !== undefined) return { up: false, reason: failure.message };
      if (!caughtUp) return { up: false, reason: "the replica is catching up with the command log" };
      return healthOfLog(performance.now() - aliveAt);
    },
    unconfirmedMs: () => performance.now() - confirmedAt,
    waitForSeq: (seq, timeoutMs) =>
      seq <= appliedSeq ? Promise.resolve(true) : waiters.wait(seq, timeoutMs),
    onApplied(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onSnapshots(listener) {
      snapshotListeners.add(listener);
      if (snapshots.length > 0) listener(snapshots);
      return () => snapshotListeners.delete(listener);
    },
    copyState: (file) => state.copy(file),
    read: (body) => state.read(body),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/** Reading every row of a state of a million takes seconds of a core: not more often than every half minute at full load. */
const DIGEST_EVERY = 10_000;
const MIN_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 5_000;
/** A connection that is being made gives up after 5 s. */
const CLOSE_MS = 10_000;

/**
 * Another log, an unknown command, a damaged state: starting again would end the same way. A disk that failed to sync may have dropped
 * what it could not write, and must not be asked again.
 */
const FINAL: readonly string[] = [
  "STATE_BEHIND",
  "STATE_DIVERGED",
  "STORE_FORMAT",
  "STORE_CORRUPT",
  "STORE_IO",
  "UNAUTHENTICATED",
  "NATS_UNFIT",
];

/** What the next start of the process can mend, or has to say. */
const ENDS: ReadonlySet<string> = new Set(["STORE_IO", "STORE_CORRUPT"]);

function startThread(
  options: ReplicaOptions,
  on: { onMessage(message: ReplicaMessage): void; onExit(): void; onError(error: GranaryError): void },
): { worker: Worker; exited: Promise<void> } {
  const workerData: ReplicaThreadData = {
    dir: options.dir,
    servers: options.bus.servers,
    seed: options.bus.credentials.seed,
    inboxPrefix: options.bus.credentials.inboxPrefix,
    name: options.bus.name,
    relay: options.relay,
    eventsKeepMs: options.eventsKeepMs ?? EVENTS_MAX_AGE_MS,
    digestEvery: options.digestEvery ?? DIGEST_EVERY,
    ...(options.snapshots !== undefined && { snapshots: options.snapshots }),
  };
  const worker = new Worker(new URL("../pointer/replica-main.js", import.meta.url), { workerData });
  worker.on("message", on.onMessage);
  worker.on("error", (error) => {
    const message = error instanceof Error ? error.message : String(error);
    on.onError(new GranaryError("INTERNAL", `the replica's thread died: ${message}`));
  });
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", () => {
      on.onExit();
      resolve();
    });
  });
  return { worker, exited };
}

/**
 * The thread is asked, never terminated: one that is ended in the middle of a transaction keeps LMDB's write lock and hangs in
 * its own clean-up, and nothing in this process could write the state again (measured with lmdb 3.5.6).
 */
async function stopThread(thread: { worker: Worker; exited: Promise<void> }): Promise<void> {
  const order: ReplicaOrder = { type: "close" };
  thread.worker.postMessage(order);
  let timer: NodeJS.Timeout | undefined;
  const givenUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_MS);
  });
  await Promise.race([thread.exited, givenUp]);
  clearTimeout(timer);
  thread.worker.unref();
}

/** A promise that is settled from outside, once, and whose failure nobody has to await. */
class Settled {
  readonly promise: Promise<void>;
  resolve: () => void = () => undefined;
  reject: (error: Error) => void = () => undefined;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => undefined);
  }
}
