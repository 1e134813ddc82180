import { setPriority } from "node:os";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import {
  type AdoptResult,
  type AdoptTask,
  type AssembleTask,
  type ExtractResult,
  type ExtractTask,
  type MaterializeResult,
  type MaterializeTask,
  type PlanResult,
  type PlanTask,
  type SealLogResult,
  type SealLogTask,
  TASK_CELL,
} from "../proto/worker-tasks.ts";
import { asGranaryError } from "../store/as-granary-error.ts";
import { openThreadStore } from "../store/thread-store.ts";
import { adoptContent } from "./adopt-content.ts";
import { assembleUpload } from "./assemble-upload.ts";
import { extractArchive } from "./extract-archive.ts";
import { materializeTree } from "./materialize-tree.ts";
import { planUpload } from "./plan-upload.ts";
import { sealLog as storeLog } from "./task-log.ts";
import { announceLoaded, threadData } from "./thread-data.ts";
import { TreeMemory } from "./tree-memory.ts";

/**
 * Less urgent than the farm's other threads and its nats-server, which share the cores and mostly wait: measured with warm archives
 * published beside activations on 2 cores, p50 of a commit 8.7 -> 7.3 ms, p90 17.9 -> 15.4 ms.
 */
const NICENESS = 5;

/** Thread entry: one export per task of proto/worker-tasks.ts. */
const data = threadData();
const store = openThreadStore(data);
const memory = new TreeMemory();

export function extract(task: ExtractTask): Outcome<ExtractResult> {
  return asOutcome(task, () => extractArchive(task, store, memory));
}

export function plan(task: PlanTask): Outcome<PlanResult> {
  return asOutcome(task, () => planUpload(task, store, memory));
}

export function assemble(task: AssembleTask): Outcome<ExtractResult> {
  return asOutcome(task, () => assembleUpload(task, store, memory));
}

/** The thread's last task: nothing of it is left open, and it ends. */
export async function retire(): Promise<never> {
  await store.close();
  return process.exit(0);
}

export function materialize(task: MaterializeTask): Outcome<MaterializeResult> {
  return asOutcome(task, () => materializeTree(task, store));
}

export function sealLog(task: SealLogTask): Outcome<SealLogResult> {
  return asOutcome(task, () => storeLog(task, store));
}

export function adopt(task: AdoptTask): Outcome<AdoptResult> {
  return asOutcome(task, () => adoptContent(task, store));
}

/** Expected failures leave the thread as data, those of the disk among them; anything else is a bug and rejects the task. */
function asOutcome<T>(task: { cell: SharedArrayBuffer }, run: () => T): Outcome<T> {
  // The first sign of life: from here on the task's clocks run.
  new Float64Array(task.cell)[TASK_CELL.progress] = 1;
  try {
    return { ok: true, value: run() };
  } catch (error) {
    if (!(error instanceof GranaryError) && !isOfDisk(error)) throw error;
    return { ok: false, error: asGranaryError(error).toWire() };
  }
}

/** A file that is not there is none: it will not come back. */
function isOfDisk(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && "code" in error && error.code !== "ENOENT";
}

// On Linux a thread has a priority of its own; elsewhere this would be the whole process's.
if (process.platform === "linux") setPriority(NICENESS);
announceLoaded(data);
