import { LIMITS } from "../proto/limits.ts";
import type { SegmentRow } from "./index-rows.ts";
import { SEGMENT_HEADER_BYTES } from "./pack-format.ts";

/** What the disk would get back, less what would be written for it, and by how many segments. */
export interface Foretold {
  readonly bytes: number;
  readonly segments: { readonly dropped: number; readonly rewritten: number };
}

/** Whether a segment is copied, so that its dead bytes come back. @param liveBytes of records that rows point to */
export function isWorthRewriting(end: number, liveBytes: number, compactFully: boolean): boolean {
  const deadBytes = end - SEGMENT_HEADER_BYTES - liveBytes;
  const share = compactFully ? 0 : LIMITS.gcRewriteDeadShare;
  return deadBytes >= LIMITS.gcRewriteDeadBytes && deadBytes >= share * end;
}

/** What a run gets back that deletes these rows: the same choices as it makes, to the byte, when nobody is at work in a segment. */
export function foretellCompaction(
  segments: ReadonlyMap<number, SegmentRow>,
  { gone, compactFully }: { gone: ReadonlyMap<number, number>; compactFully: boolean },
): Foretold {
  let bytes = gone.get(0) ?? 0;
  let dropped = 0;
  const rewritten: number[] = [];
  for (const [id, { end, liveBytes }] of segments) {
    const left = liveBytes - (gone.get(id) ?? 0);
    if (left > 0 && !isWorthRewriting(end, left, compactFully)) continue;
    if (left > 0) rewritten.push(left);
    dropped += 1;
    bytes += end - left;
  }
  return { bytes: bytes - headersOf(rewritten), segments: { dropped, rewritten: rewritten.length } };
}

/** Of the new segments: one is filled after the other, beginning with the smallest rest. */
function headersOf(rests: readonly number[]): number {
  let headers = 0;
  let end = LIMITS.segmentBytes;
  for (const rest of rests.toSorted((a, b) => a - b)) {
    if (end >= LIMITS.segmentBytes) {
      headers += SEGMENT_HEADER_BYTES;
      end = SEGMENT_HEADER_BYTES;
    }
    end += rest;
  }
  return headers;
}
