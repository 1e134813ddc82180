import { hash } from "node:crypto";
import { BLOB_ROW_BYTES, type CommitBatch, type PlacedLayerRow } from "../proto/commit-batch.ts";
import { digestFromBytes, digestHex } from "../proto/digest.ts";
import { BlobReader } from "./blob-reader.ts";
import { pushBlobRow } from "./blob-rows.ts";
import { ByteList } from "./byte-list.ts";
import { eachRow } from "./each-row.ts";
import type { StoreFs } from "./fs.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, decodeBlobRow, decodeLayerRow } from "./index-rows.ts";
import { encodeLayerPayload, RECORD_KIND } from "./pack-format.ts";
import type { SegmentAppender } from "./segment-appender.ts";
import type { StorePaths } from "./store-paths.ts";

/**
 * Appends all content that rows point to in a segment to another one, where every record is whole again. Goes by the rows, not by the
 * walk, because it is the walk that is broken; each content is verified. What is damaged stays where it is.
 * @throws GranaryError STORE_FULL, STORE_IO
 */
export function evacuateSegment(options: {
  paths: StorePaths;
  fs: StoreFs;
  index: IndexReader;
  appender: SegmentAppender;
  segment: number;
}): CommitBatch {
  const { index, appender, segment } = options;
  appender.rotateIfFull();
  if (appender.id === 0) appender.open();
  const start = appender.end;
  const reader = new BlobReader(options);
  const blobs = new ByteList(1024 * BLOB_ROW_BYTES);
  const layers: PlacedLayerRow[] = [];
  try {
    eachRow(index, ROW.blob, (key, value) => {
      const row = ifIntact(() => decodeBlobRow(key, value));
      if (row?.kind !== "packed" || row.segment !== segment || row.state === BLOB_STATE.damaged) return;
      const digest = digestFromBytes(key.subarray(1));
      const payload = ifIntact(() => reader.read(digest, row));
      if (payload === undefined) return;
      const sum = { bytes: Buffer.from(digestHex(digest), "hex"), at: 0 };
      const offset = appender.append(RECORD_KIND.blob, payload, sum);
      pushBlobRow(blobs, digest, { segment: appender.id, offset, size: row.size });
    });
    eachRow(index, ROW.layer, (key, value) => {
      const row = ifIntact(() => decodeLayerRow(key, value));
      if (row?.segment !== segment) return;
      const layer = { ...row, digest: digestFromBytes(key.subarray(1)) };
      const payload = encodeLayerPayload(layer);
      const sum = { bytes: hash("sha256", payload, "buffer"), at: 0 };
      const offset = appender.append(RECORD_KIND.layer, payload, sum);
      layers.push({ ...layer, segment: appender.id, offset });
    });
    appender.flush();
  } catch (error) {
    appender.truncate(start);
    throw error;
  } finally {
    reader.close();
  }
  return {
    segments: [{ id: appender.id, end: appender.end }],
    blobs: blobs.take(),
    bigFiles: [],
    layers,
    references: new Uint8Array(0),
    epoch: 0,
  };
}
