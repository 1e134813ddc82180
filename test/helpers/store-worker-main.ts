import { parentPort, workerData } from "node:worker_threads";
import type { CommitBatch } from "../../proto/commit-batch.ts";
import type { WorkerData } from "../../proto/worker-tasks.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { contentOf } from "./store-fixture.ts";

/** A pool thread for tests: puts the contents of the seeds it is sent as one task, or gets stuck in the middle of one. */
export interface StoreWorkerTask {
  readonly cell: SharedArrayBuffer;
  readonly seeds: readonly string[];
  readonly sizeBytes: number;
  /** Never finishes: the test kills the thread. */
  readonly stuck?: boolean;
}

export type StoreWorkerReply = { readonly batch: CommitBatch } | { readonly stuck: true };

const thread = openThreadStore(workerData as WorkerData);

parentPort?.on("message", (task: StoreWorkerTask) => {
  const writer = thread.beginTask(task.cell);
  for (const seed of task.seeds) writer.putBlob(contentOf(seed, task.sizeBytes));
  if (task.stuck === true) {
    parentPort?.postMessage({ stuck: true } satisfies StoreWorkerReply);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
  parentPort?.postMessage({ batch: writer.finish() } satisfies StoreWorkerReply);
});
