import { setTimeout as sleep } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import { GranaryError, type Outcome } from "../../proto/errors.ts";
import { type ExtractTask, TASK_CELL } from "../../proto/worker-tasks.ts";
import { stopWhenCancelled } from "../../workers/stop-when-cancelled.ts";
import { announceLoaded, threadData } from "../../workers/thread-data.ts";

/** A thread whose tasks do what their archive's name says: the ways in which a thread can go wrong. */
export async function extract(task: ExtractTask): Promise<Outcome<unknown>> {
  try {
    return await behave(task);
  } catch (error) {
    if (error instanceof GranaryError) return { ok: false, error: error.toWire() };
    throw error;
  }
}

export function retire(): never {
  return process.exit(0);
}

async function behave(task: ExtractTask): Promise<Outcome<unknown>> {
  const cells = new Float64Array(task.cell);
  cells[TASK_CELL.progress] = 1;
  cells[TASK_CELL.segmentId] = 7;
  switch (task.archivePath.split("-")[0] === "short" ? "short" : task.archivePath) {
    case "hang":
      for (;;) cells[TASK_CELL.taskNumber] = 1;
    case "creep":
      // Progress without an end.
      for (;;) cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
    case "polite":
      // Asks now and then whether it should stop, as real tasks do.
      for (;;) {
        stopWhenCancelled(cells);
        cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
      }
    case "exit":
      return process.exit(3);
    case "throw":
      throw new TypeError("a bug in the task");
    case "reject":
      return { ok: false, error: new GranaryError("ARCHIVE_BAD_MAGIC", "no tar", { offset: 0 }).toWire() };
    case "memory":
      for (const kept: number[][] = []; ; ) kept.push(new Array<number>(1_000_000).fill(kept.length));
    case "unhandled":
      void Promise.reject(new Error("nobody listens"));
      await sleep(60_000);
      break;
    case "slow":
      await sleep(300);
      break;
    case "short":
      await sleep(20);
      break;
    case "litter": {
      // As a zlib stream that was closed does, which says so in the next tick and is held until then.
      const buffer = Buffer.alloc(2 ** 20, 1);
      process.nextTick(() => buffer.fill(0, 0, 1));
      return { ok: true, value: process.memoryUsage().arrayBuffers };
    }
    case "slow-id":
      await sleep(300);
      return { ok: true, value: `thread ${threadId}` };
  }
  return { ok: true, value: task.archivePath };
}

announceLoaded(threadData());
