import { threadId, workerData } from "node:worker_threads";
import type { PoolData } from "../proto/worker-tasks.ts";

/** What the pool handed to this thread. Piscina wraps it: the second element is ours. */
export function threadData(): PoolData {
  return (Array.isArray(workerData) ? workerData[1] : workerData) as PoolData;
}

/** Tells the pool that this thread has loaded and may be ended from now on: the last thing an entry does. */
export function announceLoaded({ loaded }: PoolData): void {
  const slots = new Int32Array(loaded);
  Atomics.store(slots, threadId % slots.length, threadId);
}
