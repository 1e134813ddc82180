import { BLOB_ROW_BYTES } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import type { ByteList } from "./byte-list.ts";
import { writeU32, writeU48 } from "./little-endian.ts";

/** Adds a packed blob to the rows of a batch. */
export function pushBlobRow(
  list: ByteList,
  digest: Digest,
  place: { segment: number; offset: number; size: number },
): void {
  const { bytes, at } = list.extend(BLOB_ROW_BYTES);
  bytes.write(digest.slice(7), at, 32, "hex");
  writeU32(bytes, place.segment, at + 32);
  writeU48(bytes, place.offset, at + 36);
  writeU32(bytes, place.size, at + 42);
}
