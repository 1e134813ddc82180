import { LIMITS } from "../proto/limits.ts";
import { eachRow } from "./each-row.ts";
import { readFullySync } from "./fs.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, decodeBlobRow, decodeLayerRow } from "./index-rows.ts";
import {
  decodeRecordHeader,
  decodeSegmentHeader,
  LAYER_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from "./pack-format.ts";

/** Where a walk by lengths through a segment ends before `until`; undefined when it gets there. Reads the headers alone. */
export function walkEnd(
  fd: number,
  { id, until, read }: { id: number; until: number; read: (bytes: number) => void },
): number | undefined {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  readFullySync(fd, header, 0);
  const segment = decodeSegmentHeader(header);
  if (segment?.id !== id) return 0;
  const bytes = Buffer.alloc(RECORD_HEADER_BYTES);
  for (let at = SEGMENT_HEADER_BYTES; at < until; ) {
    const got = readFullySync(fd, bytes, at);
    const record = decodeRecordHeader(bytes.subarray(0, got), 0, segment.nonce);
    if (record === undefined || record.payloadBytes > LIMITS.packedBlobBytes) return at;
    at += record.payloadBytes + RECORD_OVERHEAD_BYTES;
    read(got);
  }
  return undefined;
}

/** Where the last record ends in each segment that rows point to: what a walk has to reach. Damaged rows are passed over. */
export function segmentEnds(index: IndexReader): Map<number, number> {
  const ends = new Map<number, number>();
  const reach = (id: number, end: number): void => void ends.set(id, Math.max(ends.get(id) ?? 0, end));
  eachRow(index, ROW.blob, (key, value) => {
    const row = ifIntact(() => decodeBlobRow(key, value));
    if (row?.kind === "packed" && row.state !== BLOB_STATE.damaged)
      reach(row.segment, row.offset + row.size + RECORD_OVERHEAD_BYTES);
  });
  eachRow(index, ROW.layer, (key, value) => {
    const row = ifIntact(() => decodeLayerRow(key, value));
    if (row !== undefined) reach(row.segment, row.offset + LAYER_RECORD_BYTES);
  });
  return ends;
}
