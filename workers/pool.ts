import { setInterval } from "node:timers";
import { Piscina } from "piscina";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import { TASK_CELL, type WorkerData, type WorkerTasks } from "../proto/worker-tasks.ts";

/** V8 heap of one thread: an honest listing of 200,000 entries needs about 150 MB. Buffers are bounded by the reader itself. */
const THREAD_HEAP_MIB = 512;
const WATCH_INTERVAL_MS = 250;
const MAX_QUEUE = 4_096;

export interface RunOptions {
  readonly signal: AbortSignal;
  /** A task that reports no progress for this long is taken for hung, and its thread is ended. */
  readonly stallMs: number;
  readonly deadlineMs: number;
}

/** The worker threads of this node. Results and expected failures come back as data; a thread that dies costs its task only. */
export class WorkerPool {
  readonly #piscina: Piscina;
  readonly threads: number;

  /** @param options.entry what the threads run instead of worker-main: for tests of threads that go wrong */
  constructor(options: { threads: number; workerData: WorkerData; entry?: URL }) {
    this.threads = options.threads;
    this.#piscina = new Piscina({
      filename: (options.entry ?? new URL("./worker-main.js", import.meta.url)).href,
      minThreads: options.threads,
      maxThreads: options.threads,
      concurrentTasksPerWorker: 1,
      // Jobs are bounded by the node's slots, listings by LIMITS.listingsHeldBytes; this is for what slips past both.
      maxQueue: MAX_QUEUE,
      workerData: options.workerData,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB },
      // Threads need nothing of the farm's environment.
      env: {},
      recordTiming: false,
    });
    // Piscina reports a dead worker here too; the failed task is where it is handled.
    this.#piscina.on("error", () => undefined);
  }

  /**
   * Runs one task.
   * @throws GranaryError CANCELLED when `signal` fires, ARCHIVE_TIMEOUT when the task stalls or passes its deadline,
   *   ARCHIVE_WORKER_DIED when its thread ended; in all three the task's cell says what to clean up.
   */
  async run<K extends keyof WorkerTasks>(
    name: K,
    input: WorkerTasks[K]["input"],
    options: RunOptions,
  ): Promise<Outcome<WorkerTasks[K]["output"]>> {
    const abort = new AbortController();
    const watch = watchTask(input.cell, options, abort);
    try {
      return (await this.#piscina.run(input, { name, signal: abort.signal })) as Outcome<
        WorkerTasks[K]["output"]
      >;
    } catch (cause) {
      throw watch.reason() ?? workerDied(cause);
    } finally {
      watch.stop();
    }
  }

  async close(): Promise<void> {
    await this.#piscina.destroy();
  }
}

function workerDied(cause: unknown): GranaryError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new GranaryError("ARCHIVE_WORKER_DIED", `the worker thread died: ${what}`, {}, { cause });
}

/** Ends the task's thread through `abort` when it is cancelled, hangs, or takes too long. */
function watchTask(
  cell: SharedArrayBuffer,
  options: RunOptions,
  abort: AbortController,
): { reason(): GranaryError | undefined; stop(): void } {
  const cells = new Float64Array(cell);
  let startedMs = performance.now();
  let lastProgress = -1;
  let lastChangeMs = startedMs;
  let reason: GranaryError | undefined;
  const end = (error: GranaryError): void => {
    reason ??= error;
    abort.abort();
  };
  const timer = setInterval(() => {
    const now = performance.now();
    const progress = cells[TASK_CELL.progress] ?? 0;
    // A queued task has not begun: its clocks start with its first sign of life.
    if (progress === 0) startedMs = lastChangeMs = now;
    if (progress !== lastProgress) {
      lastProgress = progress;
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
