import fs from "node:fs";
import { BLOB_ROW_BYTES, type CommitBatch } from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import { pushBlobRow } from "./blob-rows.ts";
import { ByteList } from "./byte-list.ts";
import { checkRecord } from "./check-record.ts";
import { ifPresent } from "./fs.ts";
import type { IndexReader } from "./index-db.ts";
import { IndexView } from "./index-view.ts";
import { RECORD_HEADER_BYTES, RECORD_KIND, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import { scanSegment } from "./scan-segment.ts";
import type { StorePaths } from "./store-paths.ts";

/**
 * Intact records of content whose row points to something else: packs hold more than one where tasks brought the same content, or GC
 * copied it. A batch that points to them; it brings nothing new.
 */
export function findCopies(options: {
  paths: StorePaths;
  index: IndexReader;
  wanted: readonly Digest[];
}): CommitBatch {
  const { paths, index } = options;
  index.refresh();
  const wanted = new Set(options.wanted);
  const blobs = new ByteList(BLOB_ROW_BYTES);
  for (const [id, { end }] of new IndexView(index).segments()) {
    const fd = ifPresent(() => fs.openSync(paths.segment(id), "r"));
    if (fd === undefined) continue;
    try {
      const scan = scanSegment(fd, id);
      for (const { record, kind, offset, payloadBytes: size } of scan?.records ?? []) {
        if (wanted.size === 0 || offset + size + RECORD_OVERHEAD_BYTES > end) break;
        const trailerAt = RECORD_HEADER_BYTES + size;
        const digest = digestFromBytes(record.subarray(trailerAt, trailerAt + 32));
        if (kind !== RECORD_KIND.blob || !wanted.has(digest)) continue;
        const nonce = scan?.nonce ?? Buffer.alloc(0);
        if (checkRecord(record, { digest, size, nonce, by: "sha256" }) !== "intact") continue;
        wanted.delete(digest);
        pushBlobRow(blobs, digest, { segment: id, offset, size });
      }
    } finally {
      fs.closeSync(fd);
    }
  }
  return {
    segments: [],
    blobs: blobs.take(),
    bigFiles: [],
    layers: [],
    references: new Uint8Array(0),
    epoch: 0,
  };
}
