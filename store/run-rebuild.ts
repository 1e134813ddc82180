import { Worker } from "node:worker_threads";
import { GranaryError } from "../proto/errors.ts";
import type { RebuildResult } from "./rebuild-index.ts";
import type { RebuildReport } from "./rebuild-index-main.ts";
import type { StoreLog } from "./store.ts";

/** {@link rebuildIndex} in a thread of its own: it reads and hashes the whole store. @throws GranaryError STORE_FORMAT, STORE_FULL, STORE_IO */
export async function runRebuild(dir: string, { log }: { log: StoreLog }): Promise<RebuildResult> {
  const worker = new Worker(new URL("./rebuild-index-main.js", import.meta.url), {
    workerData: { dir },
    name: "rebuild",
  });
  return await new Promise<RebuildResult>((resolve, reject) => {
    worker.on("message", (report: RebuildReport) => {
      if (report.type === "log") log(...report.line);
      else if (report.outcome.ok) resolve(report.outcome.value);
      else reject(GranaryError.fromWire(report.outcome.error));
    });
    worker.once("error", reject);
    worker.once("exit", () => reject(new GranaryError("STORE_IO", "the rebuild ended without a result")));
  });
}
