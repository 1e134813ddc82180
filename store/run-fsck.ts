import { Worker } from "node:worker_threads";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import type { FsckOptions, FsckResult, RootsAt } from "./fsck.ts";

/** {@link fsck} in a thread of its own. @throws GranaryError STORE_IO, STORE_CORRUPT when the index itself is damaged */
export async function runFsck(
  data: FsckOptions & RootsAt & { storeDir: string; fsCells: SharedArrayBuffer; firstOpenSegment: number },
): Promise<FsckResult> {
  const worker = new Worker(new URL("./fsck-main.js", import.meta.url), { workerData: data, name: "fsck" });
  const outcome = await new Promise<Outcome<FsckResult>>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new GranaryError("STORE_IO", "the fsck thread ended without a result")));
  });
  if (outcome.ok) return outcome.value;
  throw GranaryError.fromWire(outcome.error);
}
