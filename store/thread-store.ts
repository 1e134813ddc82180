import { threadId } from "node:worker_threads";
import { LIMITS } from "../proto/limits.ts";
import { TASK_CELL, type WorkerData } from "../proto/worker-tasks.ts";
import { BlobReader } from "./blob-reader.ts";
import { StoreFs } from "./fs.ts";
import { type IndexReader, openIndexForReading } from "./index-db.ts";
import { SegmentAppender } from "./segment-appender.ts";
import { StorePaths } from "./store-paths.ts";
import { TaskSlot } from "./task-slots.ts";
import { TaskWriter } from "./task-writer.ts";

/** Numbers tasks, and with them staging files, also when one thread opens the store more than once. */
let tasksOfThisThread = 0;

/** The store as a worker thread has it: reads the index, appends to a segment of its own, never syncs. One per thread. */
export class ThreadStore {
  readonly #index: IndexReader;
  readonly #reader: BlobReader;
  readonly #appender: SegmentAppender;
  readonly #writer: TaskWriter;
  readonly #slot: TaskSlot;

  constructor(data: WorkerData) {
    const paths = new StorePaths(data.storeDir);
    const fs = new StoreFs(data.fsCells);
    this.#index = openIndexForReading(paths.index);
    this.#reader = new BlobReader({ paths, fs });
    this.#appender = new SegmentAppender({ paths, fs, segmentIds: data.segmentIds });
    this.#slot = new TaskSlot(data.taskSlots);
    this.#writer = new TaskWriter({
      slot: this.#slot,
      index: this.#index,
      reader: this.#reader,
      appender: this.#appender,
      paths,
      fs,
      chunk: Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes),
    });
  }

  /**
   * Begins the thread's next task; the one before has to be finished or abandoned. `cell` ({@link TASK_CELL}) tells the task's
   * owner what to clean up should this thread die in it.
   */
  beginTask(cell: SharedArrayBuffer): TaskWriter {
    this.#slot.starting();
    // A snapshot from before the last commit would call known content missing, and keep lmdb from reusing pages.
    this.#index.refresh();
    tasksOfThisThread += 1;
    const progress = new Float64Array(cell);
    if (progress.length < TASK_CELL.length)
      throw new RangeError(`a task cell has ${TASK_CELL.length} numbers`);
    progress[TASK_CELL.threadId] = threadId;
    progress[TASK_CELL.taskNumber] = tasksOfThisThread;
    progress[TASK_CELL.slot] = this.#slot.number;
    this.#writer.begin(progress);
    return this.#writer;
  }

  async close(): Promise<void> {
    this.#appender.close();
    this.#slot.release();
    this.#reader.close();
    await this.#index.close();
  }
}

export function openThreadStore(data: WorkerData): ThreadStore {
  return new ThreadStore(data);
}
