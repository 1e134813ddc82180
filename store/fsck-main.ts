import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../proto/errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import { StoreFs } from "./fs.ts";
import { type FsckOptions, type FsckResult, fsck, type RootsAt } from "./fsck.ts";
import { openIndexForReading } from "./index-db.ts";
import { StorePaths } from "./store-paths.ts";

/** A thread that checks the store beside its work: hashing everything would block an event loop. */
const data = workerData as FsckOptions &
  RootsAt & {
    storeDir: string;
    fsCells: SharedArrayBuffer;
    firstOpenSegment: number;
  };
const paths = new StorePaths(data.storeDir);
const index = openIndexForReading(paths.index);

function run(): Outcome<FsckResult> {
  try {
    return { ok: true, value: fsck({ ...data, paths, fs: new StoreFs(data.fsCells), index }) };
  } catch (error) {
    return { ok: false, error: asGranaryError(error).toWire() };
  }
}

parentPort?.postMessage(run());
await index.close();
