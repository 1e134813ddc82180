import { hash } from "node:crypto";
import fs from "node:fs";
import { BLOB_ROW_BYTES, type CommitBatch, type PlacedLayerRow } from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import { pushBlobRow } from "./blob-rows.ts";
import { ByteList } from "./byte-list.ts";
import { checkRecord } from "./check-record.ts";
import { eachRow } from "./each-row.ts";
import type { StoreFs } from "./fs.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, decodeBlobRow, decodeLayerRow } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import {
  decodeLayerPayload,
  LAYER_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  RECORD_OVERHEAD_BYTES,
} from "./pack-format.ts";
import { type ScannedRecord, scanSegment } from "./scan-segment.ts";
import type { SegmentAppender } from "./segment-appender.ts";
import type { StorePaths } from "./store-paths.ts";

/** What rows point to in a segment, counted from the rows themselves: files are deleted by it. */
export interface SegmentUse {
  readonly id: number;
  readonly records: number;
  readonly bytes: number;
}

/** Segments that rows point to. */
export function segmentUse(index: IndexReader): SegmentUse[] {
  const use = new Map<number, { records: number; bytes: number }>();
  const count = (id: number, bytes: number): void => {
    const known = use.get(id) ?? { records: 0, bytes: 0 };
    known.records += 1;
    known.bytes += bytes;
    use.set(id, known);
  };
  eachRow(index, ROW.blob, (key, value) => {
    const row = decodeBlobRow(key, value);
    if (row.kind === "packed") count(row.segment, row.size + RECORD_OVERHEAD_BYTES);
  });
  eachRow(index, ROW.layer, (key, value) => count(decodeLayerRow(key, value).segment, LAYER_RECORD_BYTES));
  return [...use].map(([id, { records, bytes }]) => ({ id, records, bytes }));
}

interface CopyOptions {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  readonly appender: SegmentAppender;
  readonly segment: number;
}

/**
 * Appends what rows point to in a segment to another one, verifying each record; nothing is visible before the committer has taken
 * the copies. undefined when something in it is not as it should be: then it is left to fsck.
 * @throws GranaryError STORE_FULL, STORE_IO
 */
export function copyLiveRecords(options: CopyOptions): CommitBatch | undefined {
  const { paths, index, appender, segment } = options;
  index.refresh();
  appender.rotateIfFull();
  if (appender.id === 0) appender.open();
  const start = appender.end;
  const fd = fs.openSync(paths.segment(segment), "r");
  try {
    const copies = copyAll(fd, options);
    if (copies === undefined) appender.truncate(start);
    else appender.flush();
    return copies;
  } catch (error) {
    appender.truncate(start);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

function copyAll(fd: number, { index, appender, segment }: CopyOptions): CommitBatch | undefined {
  const view = new IndexView(index);
  const scan = scanSegment(fd, segment);
  if (scan === undefined) return undefined;
  const blobs = new ByteList(1024 * BLOB_ROW_BYTES);
  const layers: PlacedLayerRow[] = [];
  for (const record of scan.records) {
    const digest = recordDigest(record);
    const payload = record.record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + record.payloadBytes);
    const layer = record.kind === RECORD_KIND.layer ? decodeLayerPayload(payload) : undefined;
    const row = layer === undefined ? view.blob(digest) : view.layer(layer.digest);
    if (row === undefined || !("segment" in row)) continue;
    if (row.segment !== segment || row.offset !== record.offset) continue;
    if ("state" in row && row.state === BLOB_STATE.damaged) return undefined;
    const expected = {
      digest,
      size: record.payloadBytes,
      nonce: scan.nonce,
      by: "sha256",
      kind: record.kind,
    } as const;
    if (checkRecord(record.record, expected) !== "intact") return undefined;
    if (layer === undefined)
      pushBlobRow(blobs, digest, {
        segment: appender.id,
        offset: append(appender, RECORD_KIND.blob, payload),
        size: payload.byteLength,
      });
    else
      layers.push({ ...layer, segment: appender.id, offset: append(appender, RECORD_KIND.layer, payload) });
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

function recordDigest({ record, payloadBytes }: ScannedRecord): Digest {
  const at = RECORD_HEADER_BYTES + payloadBytes;
  return digestFromBytes(record.subarray(at, at + 32));
}

function append(appender: SegmentAppender, kind: 1 | 2, payload: Uint8Array): number {
  return appender.append(kind, payload, { bytes: hash("sha256", payload, "buffer"), at: 0 });
}
