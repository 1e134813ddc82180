import fs from "node:fs";
import { digestFromBytes } from "../proto/digest.ts";
import type { Finding } from "./committer-protocol.ts";
import { readFullySync } from "./fs.ts";
import { IndexChanges } from "./index-changes.ts";
import type { IndexDb } from "./index-db.ts";
import { keyAfter, ROW, rangeOf } from "./index-keys.ts";
import { BLOB_STATE, decodeBlobRow, type SegmentRow } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { decodeSegmentHeader, RECORD_OVERHEAD_BYTES, SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import { type StorePaths, segmentIdOf, segmentName } from "./store-paths.ts";

/**
 * Cuts uncommitted tails, deletes segments without committed content, and marks what was lost of committed ones. Answers the
 * highest segment id on disk.
 */
export function recoverSegments(
  { paths, index }: { paths: StorePaths; index: IndexDb },
  findings: Finding[],
): number {
  const known = new IndexView(index).segments();
  const lost = new Map<number, number>();
  let highest = 0;
  for (const id of segmentFiles(paths)) {
    highest = Math.max(highest, id);
    const row = known.get(id);
    if (row === undefined) {
      fs.unlinkSync(paths.segment(id));
      continue;
    }
    known.delete(id);
    const sizeBytes = cutTail(paths, { id, row, findings });
    if (sizeBytes < row.end) lost.set(id, sizeBytes);
  }
  for (const id of known.keys()) lost.set(id, 0);
  if (lost.size > 0) markLost(index, { lost, findings });
  return highest;
}

export function segmentFiles(paths: StorePaths): number[] {
  return fs
    .readdirSync(paths.packs)
    .map(segmentIdOf)
    .filter((id) => id !== undefined);
}

/** Cuts what was appended but never committed; answers the segment's size. */
function cutTail(paths: StorePaths, segment: { id: number; row: SegmentRow; findings: Finding[] }): number {
  const { id, row, findings } = segment;
  const fd = fs.openSync(paths.segment(id), "r+");
  try {
    const { size } = fs.fstatSync(fd);
    if (size > row.end) fs.ftruncateSync(fd, row.end);
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    readFullySync(fd, bytes, 0);
    const header = decodeSegmentHeader(bytes);
    if (header?.id !== id || Buffer.compare(header.nonce, row.nonce) !== 0) {
      findings.push({
        level: "error",
        message:
          "STORE_CORRUPT: a segment's header is damaged; its content stays readable, a rebuild of the index would lose it",
        data: { segment: segmentName(id) },
      });
    }
    return size;
  } finally {
    fs.closeSync(fd);
  }
}

/** Marks every blob that lay in a lost part of a segment, page by page, so that it is not served and heals when it comes again. */
function markLost(
  index: IndexDb,
  { lost, findings }: { lost: ReadonlyMap<number, number>; findings: Finding[] },
): void {
  const counts = new Map<number, number>();
  let { from, to } = rangeOf(ROW.blob);
  for (;;) {
    const page = index.rows({ from, to, limit: 10_000 });
    const last = page.at(-1);
    if (last === undefined) break;
    index.transaction(() => {
      const changes = new IndexChanges(index);
      for (const { key, value } of page) {
        const row = decodeBlobRow(key, value);
        if (row.kind !== "packed" || row.state === BLOB_STATE.damaged) continue;
        const sizeBytes = lost.get(row.segment);
        if (sizeBytes === undefined || row.offset + row.size + RECORD_OVERHEAD_BYTES <= sizeBytes) continue;
        changes.damage(digestFromBytes(key.subarray(1)));
        counts.set(row.segment, (counts.get(row.segment) ?? 0) + 1);
      }
      changes.flush();
    });
    from = keyAfter(last.key);
    to = rangeOf(ROW.blob).to;
  }
  index.transaction(() => {
    const changes = new IndexChanges(index);
    for (const [id, sizeBytes] of lost) {
      if (sizeBytes < SEGMENT_HEADER_BYTES) changes.removeSegment(id);
      else changes.shortenSegment(id, sizeBytes);
    }
    changes.flush();
  });
  for (const [id, sizeBytes] of lost) {
    findings.push({
      level: "error",
      message: "STORE_CORRUPT: a segment lost committed content; what is left stays readable",
      data: { segment: segmentName(id), sizeBytes, lostBlobs: counts.get(id) ?? 0 },
    });
  }
}
