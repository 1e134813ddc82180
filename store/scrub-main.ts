import { parentPort, workerData } from "node:worker_threads";
import type { Outcome } from "../proto/errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import { ContentChecker, type Finding } from "./check-content.ts";
import { checkPass } from "./check-pass.ts";
import { RootChecker } from "./check-roots.ts";
import { StoreFs } from "./fs.ts";
import { openIndexForReading } from "./index-db.ts";
import { StorePaths } from "./store-paths.ts";

/** What the thread of a scrub says; the last is the outcome: whether it came to the end of the store. */
export type ScrubReport =
  | { readonly type: "found"; readonly finding: Finding }
  | { readonly type: "progress"; readonly progress: ScrubProgress }
  | { readonly type: "ended"; readonly outcome: Outcome<boolean> };

export interface ScrubProgress {
  /** To go on from. */
  readonly cursor: string;
  /** Since the last report. */
  readonly checked: number;
  readonly bytes: number;
}

export interface ScrubData {
  readonly storeDir: string;
  /** Where roots are materialized from the store; absent: nowhere. */
  readonly rootsDir?: string;
  readonly fsCells: SharedArrayBuffer;
  readonly from?: string;
  readonly rateBytes: number;
  readonly progressMs: number;
  /** One cell; anything but 0 ends the scrub. */
  readonly stop: SharedArrayBuffer;
}

/** Bytes between two looks at the clock: at 8 MiB/s every 30 ms. */
const PACE_BYTES = 256 * 1024;
/** What a row costs beside its content. */
const ROW_BYTES = 100;

const port = parentPort;
if (port === null) throw new RangeError("the scrub runs as a thread");
const data = workerData as ScrubData;
const stop = new Int32Array(data.stop);
const index = openIndexForReading(new StorePaths(data.storeDir).index);
const report = (message: ScrubReport): void => port.postMessage(message);

class Stopped extends Error {}

let unpaced = 0;
let bytesRead = 0;
let paceStart = performance.now();

/** Sleeps as long as what was read should have taken. No snapshot of the index is held meanwhile. */
function read(bytes: number): void {
  bytesRead += bytes;
  unpaced += bytes;
  if (Atomics.load(stop, 0) !== 0) throw new Stopped();
  if (unpaced < PACE_BYTES) return;
  const waitMs = (unpaced / data.rateBytes) * 1_000 - (performance.now() - paceStart);
  index.refresh();
  if (waitMs > 0 && Atomics.wait(stop, 0, 0, waitMs) !== "timed-out") throw new Stopped();
  unpaced = 0;
  paceStart = performance.now();
}

function scrub(): boolean {
  const paths = new StorePaths(data.storeDir);
  const found = (finding: Finding): void => report({ type: "found", finding });
  const parts = { paths, fs: new StoreFs(data.fsCells), index, found, read };
  const checker = new ContentChecker(parts);
  const { rootsDir } = data;
  const roots =
    rootsDir === undefined
      ? {}
      : { roots: { dir: rootsDir, checker: new RootChecker({ ...parts, rootsDir }) } };
  let last = { cursor: "", checked: 0 };
  let reportedMs = performance.now();
  const tell = (): void => {
    if (last.cursor !== "") report({ type: "progress", progress: { ...last, bytes: bytesRead } });
    last = { ...last, checked: 0 };
    bytesRead = 0;
    reportedMs = performance.now();
  };
  try {
    const from = data.from === undefined ? {} : { from: data.from };
    for (const { cursor, content } of checkPass({ ...parts, checker, ...roots, ...from })) {
      last = { cursor, checked: last.checked + (content ? 1 : 0) };
      if (performance.now() - reportedMs >= data.progressMs) tell();
      read(ROW_BYTES);
    }
    tell();
    return true;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    tell();
    return false;
  } finally {
    checker.close();
    roots.roots?.checker.close();
  }
}

function run(): Outcome<boolean> {
  try {
    return { ok: true, value: scrub() };
  } catch (error) {
    return { ok: false, error: asGranaryError(error).toWire() };
  }
}

const outcome = run();
await index.close();
report({ type: "ended", outcome });
