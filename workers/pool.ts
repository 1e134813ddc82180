import { setInterval } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import { type PoolData, TASK_CELL, type WorkerData, type WorkerTasks } from "../proto/worker-tasks.ts";

/** V8 heap of one thread: an honest listing of 200,000 entries needs about 150 MB. Buffers are bounded by the reader itself. */
const THREAD_HEAP_MIB = 512;
const WATCH_INTERVAL_MS = 100;
/** A task stops by itself within some milliseconds of being told to, unless it hangs: then its thread is ended. */
const STOP_GRACE_MS = 250;
/** Threads load in 200 to 400 ms. */
const LOAD_LIMIT_MS = 10_000;
const LOADED_SLOTS = 4_096;
const MAX_QUEUE = 4_096;
/** A task that no thread gets: Piscina makes a thread for whatever finds none free, while it may have more. */
const GROW = "grow";

export interface RunOptions {
  readonly signal: AbortSignal;
  /** A task that reports no progress for this long is taken for hung, and its thread is ended. */
  readonly stallMs: number;
  readonly deadlineMs: number;
  /** What of the input is handed over to the thread. */
  readonly transfer?: readonly MessagePort[];
}

/** The worker threads of this node. Results and expected failures come back as data; a thread that dies costs its task only. */
export class WorkerPool {
  readonly #piscina: Piscina;
  readonly #loaded = new Int32Array(new SharedArrayBuffer(LOADED_SLOTS * Int32Array.BYTES_PER_ELEMENT));
  readonly #reclaim: (cell: SharedArrayBuffer) => Promise<void>;
  #threads: number;
  #running = 0;
  /** Threads that were asked to end and have not. */
  #retiring = 0;

  /**
   * @param options.reclaim cleans up behind a task that did not answer; must not throw
   * @param options.entry what the threads run instead of worker-main: for tests of threads that go wrong
   */
  constructor(options: {
    threads: number;
    workerData: WorkerData;
    reclaim: (cell: SharedArrayBuffer) => Promise<void>;
    entry?: URL;
  }) {
    this.#threads = options.threads;
    this.#reclaim = options.reclaim;
    const workerData: PoolData = {
      ...options.workerData,
      loaded: this.#loaded.buffer as SharedArrayBuffer,
    };
    this.#piscina = new Piscina({
      filename: (options.entry ?? new URL("./worker-main.js", import.meta.url)).href,
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: 1,
      // Threads end when `resize` asks them to, between two tasks of theirs; Piscina would terminate those that are idle.
      idleTimeout: Number.POSITIVE_INFINITY,
      // Without it a task that finds no thread goes to the end of the queue each time it is tried.
      stricterFIFO: true,
      loadBalancer: ({ name }, workers) =>
        (name === GROW ? undefined : workers.find((worker) => worker.currentUsage === 0)) ?? null,
      // Jobs are bounded by the node's slots, listings by LIMITS.listingsHeldBytes; this is for what slips past both.
      maxQueue: MAX_QUEUE,
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
      // Threads need nothing of the farm's environment.
      env: {},
      recordTiming: false,
      // By default a thread waits for its next task inside a microtask of the last one, and never comes back to its event loop: zlib
      // streams that were closed stayed in the queue of ticks, 350 KiB a publish. Costs some 3 us of CPU a task.
      atomics: "disabled",
    });
    // Piscina reports a dead worker here too; the failed task is where it is handled.
    this.#piscina.on("error", () => undefined);
  }

  /** How many threads the pool is to have; those there are, {@link liveThreads}, get there between tasks. */
  get threads(): number {
    return this.#threads;
  }

  get liveThreads(): number {
    return this.#piscina.threads.length;
  }

  get busyThreads(): number {
    return Math.min(this.#running, this.liveThreads);
  }

  /**
   * Grows at once; shrinks as threads get free: each that is to go takes one last task, in which it closes its segment and its view of
   * the index and ends itself. What runs and what is queued is not touched.
   */
  resize(threads: number): void {
    this.#threads = threads;
    // Piscina reads its options each time it makes or replaces a thread; it has no method to change them (5.3.2).
    this.#piscina.options.minThreads = threads;
    this.#piscina.options.maxThreads = threads;
    for (let live = this.liveThreads; live < threads; live++) this.#grow();
    while (this.liveThreads - this.#retiring > threads) this.#retire();
  }

  /**
   * Runs one task.
   * @throws GranaryError CANCELLED when `signal` fires, ARCHIVE_TIMEOUT when the task stalls or passes its deadline,
   *   ARCHIVE_WORKER_DIED when its thread ended; in all three nothing is left of it.
   */
  async run<K extends keyof WorkerTasks>(
    name: K,
    input: Omit<WorkerTasks[K]["input"], "cell">,
    options: RunOptions,
  ): Promise<Outcome<WorkerTasks[K]["output"]>> {
    const cell = new SharedArrayBuffer(TASK_CELL.length * Float64Array.BYTES_PER_ELEMENT);
    const abort = new AbortController();
    const watch = watchTask(cell, options, {
      endThread: () => abort.abort(),
      mayEnd: () => this.#areLoaded(),
    });
    this.#running += 1;
    try {
      const outcome: Outcome<WorkerTasks[K]["output"]> = await this.#piscina.run(
        { ...input, cell },
        {
          name,
          signal: abort.signal,
          ...(options.transfer === undefined ? {} : { transferList: [...options.transfer] }),
        },
      );
      // A task that was told to stop says CANCELLED, whatever it was told for.
      if (!outcome.ok && outcome.error.code === "CANCELLED")
        throw watch.reason() ?? GranaryError.fromWire(outcome.error);
      return outcome;
    } catch (cause) {
      await this.#reclaim(cell);
      throw watch.reason() ?? workerDied(cause);
    } finally {
      watch.stop();
      this.#running -= 1;
    }
  }

  async close(): Promise<void> {
    const deadline = performance.now() + LOAD_LIMIT_MS;
    while (!this.#areLoaded() && performance.now() < deadline) await sleep(WATCH_INTERVAL_MS / 10);
    await this.#piscina.destroy();
  }

  #grow(): void {
    const abort = new AbortController();
    this.#piscina.run(undefined, { name: GROW, signal: abort.signal }).catch(() => undefined);
    abort.abort();
  }

  /** A thread that ended one too many, because the pool grew again meanwhile or another had died, is replaced by Piscina. */
  #retire(): void {
    this.#retiring += 1;
    const ended = (): void => {
      this.#retiring -= 1;
    };
    // The task has no answer: its thread has exited.
    this.#piscina.run(undefined, { name: "retire" }).then(ended, ended);
  }

  /** Whether every thread may be ended: one that still loads would take the process with it (PoolData). */
  #areLoaded(): boolean {
    return this.#piscina.threads.every(
      ({ threadId }) => threadId < 0 || Atomics.load(this.#loaded, threadId % LOADED_SLOTS) === threadId,
    );
  }
}

function workerDied(cause: unknown): GranaryError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new GranaryError("ARCHIVE_WORKER_DIED", `the worker thread died: ${what}`, {}, { cause });
}

/** Tells a task to stop when it is cancelled, hangs, or takes too long; ends its thread when it does not. */
function watchTask(
  cell: SharedArrayBuffer,
  options: RunOptions,
  thread: { endThread(): void; mayEnd(): boolean },
): { reason(): GranaryError | undefined; stop(): void } {
  const cells = new Float64Array(cell);
  let startedMs = performance.now();
  let lastProgress = -1;
  let lastChangeMs = startedMs;
  let reason: GranaryError | undefined;
  let toldMs = 0;
  const end = (error: GranaryError): void => {
    if (reason !== undefined) return;
    reason = error;
    toldMs = performance.now();
    cells[TASK_CELL.cancel] = 1;
    enforce();
  };
  /** One that has not begun waits in the queue, and leaves it at once. */
  const enforce = (): void => {
    const hasBegun = cells[TASK_CELL.progress] !== 0;
    if (hasBegun && performance.now() - toldMs < STOP_GRACE_MS) return;
    if (thread.mayEnd()) thread.endThread();
  };
  const timer = setInterval(() => {
    if (reason !== undefined) return enforce();
    const now = performance.now();
    const progress = cells[TASK_CELL.progress] ?? 0;
    if (progress !== lastProgress) {
      lastProgress = progress;
      lastChangeMs = now;
    }
    // A queued task has not begun: its clocks start with its first sign of life.
    if (progress === 0) {
      startedMs = now;
      lastChangeMs = now;
    }
    if (now - lastChangeMs > options.stallMs)
      end(timedOut(`made no progress for ${options.stallMs} ms`, options.stallMs));
    else if (now - startedMs > options.deadlineMs)
      end(timedOut(`took longer than ${options.deadlineMs} ms`, options.deadlineMs));
  }, WATCH_INTERVAL_MS);
  const cancelled = (): void => end(new GranaryError("CANCELLED", "the task was cancelled"));
  options.signal.addEventListener("abort", cancelled, { once: true });
  if (options.signal.aborted) cancelled();
  return {
    reason: () => reason,
    stop: () => {
      clearInterval(timer);
      options.signal.removeEventListener("abort", cancelled);
    },
  };
}

function timedOut(what: string, limit: number): GranaryError {
  return new GranaryError("ARCHIVE_TIMEOUT", `reading the archive ${what}`, { limit });
}
