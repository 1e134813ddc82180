import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../proto/errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import { type RebuildResult, rebuildIndex } from "./rebuild-index.ts";
import type { StoreLog } from "./store.ts";

/** What the thread of a rebuild says; the last is the outcome. */
export type RebuildReport =
  | { readonly type: "log"; readonly line: Parameters<StoreLog> }
  | { readonly type: "ended"; readonly outcome: Outcome<RebuildResult> };

const { dir } = workerData as { dir: string };
const report = (message: RebuildReport): void => parentPort?.postMessage(message);

async function run(): Promise<Outcome<RebuildResult>> {
  try {
    return {
      ok: true,
      value: await rebuildIndex(dir, { log: (...line) => report({ type: "log", line }) }),
    };
  } catch (error) {
    return { ok: false, error: asGranaryError(error).toWire() };
  }
}

report({ type: "ended", outcome: await run() });
