import { workerData } from "node:worker_threads";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import type {
  AssembleTask,
  ExtractResult,
  ExtractTask,
  PlanResult,
  PlanTask,
  WorkerData,
} from "../proto/worker-tasks.ts";
import { openThreadStore } from "../store/thread-store.ts";
import { assembleUpload } from "./assemble-upload.ts";
import { extractArchive } from "./extract-archive.ts";
import { planUpload } from "./plan-upload.ts";

/** Thread entry: one export per task of proto/worker-tasks.ts. */
const store = openThreadStore(threadData());

export function extract(task: ExtractTask): Outcome<ExtractResult> {
  return asOutcome(() => extractArchive(task, store));
}

export function plan(task: PlanTask): Outcome<PlanResult> {
  return asOutcome(() => planUpload(task, store));
}

export function assemble(task: AssembleTask): Outcome<ExtractResult> {
  return asOutcome(() => assembleUpload(task, store));
}

/** Expected failures leave the thread as data; anything else is a bug and rejects the task. */
function asOutcome<T>(run: () => T): Outcome<T> {
  try {
    return { ok: true, value: run() };
  } catch (error) {
    if (error instanceof GranaryError) return { ok: false, error: error.toWire() };
    throw error;
  }
}

/** Piscina wraps what it was given: the second element is ours. */
function threadData(): WorkerData {
  return (Array.isArray(workerData) ? workerData[1] : workerData) as WorkerData;
}
