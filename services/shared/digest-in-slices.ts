import { setImmediate as turn } from "node:timers/promises";
import { StateHasher } from "./state-db-digest.ts";

/** The thread applies commands between two slices; one costs an activation at most this much. */
const SLICE_MS = 4;
const ROWS_PER_LOOK = 64;

/** The digest of many rows without holding the event loop. @returns undefined when aborted */
export async function digestInSlices(
  rows: Iterable<readonly [key: string, json: string]>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const hasher = new StateHasher();
  let sliceEndMs = performance.now() + SLICE_MS;
  let count = 0;
  for (const row of rows) {
    hasher.add(row);
    count += 1;
    if (count % ROWS_PER_LOOK !== 0 || performance.now() < sliceEndMs) continue;
    await turn();
    if (signal.aborted) return undefined;
    sliceEndMs = performance.now() + SLICE_MS;
  }
  return hasher.digest();
}
