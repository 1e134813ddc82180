import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { GranaryError, type Outcome } from "../../../proto/errors.ts";
import { type FileToHash, hashFile } from "./hash-file.ts";

export interface HashOptions {
  readonly signal: AbortSignal;
  /** Hears the bytes of every batch. */
  readonly onHashed?: (bytes: number) => void;
}

/** A thread costs 40 ms to start: less work than this is done without. */
const THREADS_FROM_BYTES = 64 * 1024 * 1024;
const THREADS_FROM_FILES = 4_000;
const THREADS_MAX = 8;
const BATCH_FILES = 256;
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * sha256 (hex) of every file, in order; on several threads when there is much to do.
 * @throws GranaryError STATE_CONFLICT naming a file that changed, USAGE; what `signal` aborts with
 */
export async function hashFiles(files: readonly FileToHash[], options: HashOptions): Promise<string[]> {
  const batches = batchesOf(files);
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  const many = totalBytes >= THREADS_FROM_BYTES || files.length >= THREADS_FROM_FILES;
  const threads = many ? Math.min(availableParallelism(), THREADS_MAX, batches.length) : 1;
  const hashed =
    threads < 2 ? await hashHere(batches, options) : await hashOnThreads(batches, threads, options);
  return hashed.flat();
}

type Batch = readonly FileToHash[];

async function hashHere(batches: readonly Batch[], options: HashOptions): Promise<string[][]> {
  const hashed: string[][] = [];
  for (const batch of batches) {
    options.signal.throwIfAborted();
    hashed.push(batch.map(hashFile));
    options.onHashed?.(bytesOf(batch));
    await nextTurn();
  }
  return hashed;
}

async function hashOnThreads(
  batches: readonly Batch[],
  threads: number,
  options: HashOptions,
): Promise<string[][]> {
  const hashed: string[][] = batches.map(() => []);
  const queue = batches.entries();
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL("./hash-files-main.js", import.meta.url)),
  );
  try {
    await Promise.all(workers.map((worker) => drain(worker, queue, hashed, options)));
    return hashed;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** One thread takes batches until there are none. */
async function drain(
  worker: Worker,
  queue: IterableIterator<[number, Batch]>,
  hashed: string[][],
  options: HashOptions,
): Promise<void> {
  for (const [at, batch] of queue) {
    options.signal.throwIfAborted();
    worker.postMessage(batch);
    const [outcome] = (await once(worker, "message", { signal: options.signal })) as [Outcome<string[]>];
    if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
    hashed[at] = outcome.value;
    options.onHashed?.(bytesOf(batch));
  }
}

function batchesOf(files: readonly FileToHash[]): Batch[] {
  const batches: FileToHash[][] = [];
  let bytes = 0;
  for (const file of files) {
    const last = batches.at(-1);
    if (last === undefined || last.length >= BATCH_FILES || bytes >= BATCH_BYTES) {
      batches.push([file]);
      bytes = file.size;
    } else {
      last.push(file);
      bytes += file.size;
    }
  }
  return batches;
}

function bytesOf(batch: Batch): number {
  return batch.reduce((sum, { size }) => sum + size, 0);
}
