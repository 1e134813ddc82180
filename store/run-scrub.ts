import { Worker } from "node:worker_threads";
import { GranaryError } from "../proto/errors.ts";
import type { Finding } from "./check-content.ts";
import type { ScrubData, ScrubProgress, ScrubReport } from "./scrub-main.ts";

/** How often a scrub says where it is: what a crash makes it read again. */
const PROGRESS_MS = 5_000;

export interface ScrubOptions {
  /** Where an earlier one was; absent: from the beginning. */
  readonly from?: string;
  /** Bytes a second. */
  readonly rateBytes: number;
  readonly signal: AbortSignal;
  readonly onFound: (finding: Finding) => void;
  readonly onProgress: (progress: ScrubProgress) => void;
}

/**
 * Reads and verifies the whole store in a thread of its own, no faster than it is told to. Answers whether it came to the end; false:
 * the signal has ended it, and the last progress says where to go on.
 * @throws GranaryError STORE_IO
 */
export async function runScrub(
  store: { storeDir: string; fsCells: SharedArrayBuffer; rootsDir?: string },
  options: ScrubOptions,
): Promise<boolean> {
  const { from, rateBytes, signal, onFound, onProgress } = options;
  const stop = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const workerData: ScrubData = {
    ...store,
    ...(from !== undefined && { from }),
    rateBytes,
    progressMs: PROGRESS_MS,
    stop,
  };
  const worker = new Worker(new URL("./scrub-main.js", import.meta.url), { workerData, name: "scrub" });
  const end = (): void => {
    const cell = new Int32Array(stop);
    Atomics.store(cell, 0, 1);
    Atomics.notify(cell, 0);
  };
  if (signal.aborted) end();
  signal.addEventListener("abort", end, { once: true });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      worker.on("message", (report: ScrubReport) => {
        if (report.type === "found") onFound(report.finding);
        else if (report.type === "progress") onProgress(report.progress);
        else if (report.outcome.ok) resolve(report.outcome.value);
        else reject(GranaryError.fromWire(report.outcome.error));
      });
      worker.once("error", reject);
      worker.once("exit", () => reject(new GranaryError("STORE_IO", "the scrub ended without a result")));
    });
  } finally {
    signal.removeEventListener("abort", end);
  }
}
