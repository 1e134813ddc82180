import { BLOB_ROW_BYTES, type CommitBatch } from "../proto/commit-batch.ts";
import { LIMITS } from "../proto/limits.ts";
import type { CollectStep } from "./committer-protocol.ts";

/** Points the rows of a segment to copies, in steps of bounded size. */
export function* moveSteps(from: number, copies: CommitBatch): Generator<CollectStep> {
  const sliceBytes = LIMITS.gcSliceRows * BLOB_ROW_BYTES;
  let layers = copies.layers;
  for (let at = 0; at === 0 || at < copies.blobs.byteLength; at += sliceBytes) {
    yield { do: "move", from, copies: { ...copies, blobs: copies.blobs.slice(at, at + sliceBytes), layers } };
    layers = [];
  }
}
