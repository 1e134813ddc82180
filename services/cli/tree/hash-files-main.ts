import { parentPort } from "node:worker_threads";
import { GranaryError, type Outcome } from "../../../proto/errors.ts";
import { type FileToHash, hashFile } from "./hash-file.ts";

/** Thread entry of hash-files.ts: a batch in, its digests out; failures leave the thread as data. */
parentPort?.on("message", (batch: readonly FileToHash[]) => parentPort?.postMessage(hashBatch(batch)));

function hashBatch(batch: readonly FileToHash[]): Outcome<string[]> {
  try {
    return { ok: true, value: batch.map(hashFile) };
  } catch (error) {
    if (error instanceof GranaryError) return { ok: false, error: error.toWire() };
    throw error;
  }
}
