import { LIMITS } from "../proto/limits.ts";
import type { SegmentRow } from "./index-rows.ts";
import { SEGMENT_HEADER_BYTES } from "./pack-format.ts";

/** What the disk would get back, less what would be written for it, and by how many segments. */
export interface Foretold {
  readonly bytes: number;
  readonly segments: { readonly dropped: number; readonly rewritten: number };
}

/** What GC knows of a segment when it chooses. */
interface SegmentUse {
  readonly id: number;
  readonly end: number;
  /** Bytes of records that rows point to. */
  readonly liveBytes: number;
}

/**
 * Segments from which what lives is copied elsewhere, the cheapest first: those that are mostly dead, so that their dead bytes come back, and all
 * small ones when there are many. What is gathered fills a segment, so that each byte is copied but a few times in its life.
 */
export function chooseRewrites(
  segments: readonly SegmentUse[],
  { compactFully }: { compactFully: boolean },
): SegmentUse[] {
  const used = segments.filter(({ liveBytes }) => liveBytes > 0);
  const isSmall = ({ end }: SegmentUse): boolean => end <= LIMITS.gcSmallSegmentBytes;
  const gathers = used.filter(isSmall).length >= LIMITS.gcSmallSegments;
  return used
    .filter((segment) => isWorthRewriting(segment, compactFully) || (gathers && isSmall(segment)))
    .toSorted((a, b) => a.liveBytes - b.liveBytes);
}

function isWorthRewriting({ end, liveBytes }: SegmentUse, compactFully: boolean): boolean {
  const deadBytes = end - SEGMENT_HEADER_BYTES - liveBytes;
  const share = compactFully ? 0 : LIMITS.gcRewriteDeadShare;
  return deadBytes >= LIMITS.gcRewriteDeadBytes && deadBytes >= share * end;
}

/** What a run gets back that deletes these rows: the same choices as it makes, to the byte, when nobody is at work in a segment. */
export function foretellCompaction(
  segments: ReadonlyMap<number, SegmentRow>,
  { gone, compactFully }: { gone: ReadonlyMap<number, number>; compactFully: boolean },
): Foretold {
  const left = [...segments].map(([id, { end, liveBytes }]) => ({
    id,
    end,
    liveBytes: liveBytes - (gone.get(id) ?? 0),
  }));
  const rewritten = chooseRewrites(left, { compactFully });
  const dropped = [...left.filter(({ liveBytes }) => liveBytes <= 0), ...rewritten];
  const freed = dropped.reduce((sum, { end, liveBytes }) => sum + end - liveBytes, gone.get(0) ?? 0);
  return {
    bytes: freed - headersOf(rewritten.map(({ liveBytes }) => liveBytes)),
    segments: { dropped: dropped.length, rewritten: rewritten.length },
  };
}

/** Of the new segments: one is filled after the other, beginning with the smallest rest, which comes first. */
function headersOf(rests: readonly number[]): number {
  let headers = 0;
  let end = LIMITS.segmentBytes;
  for (const rest of rests) {
    if (end >= LIMITS.segmentBytes) {
      headers += SEGMENT_HEADER_BYTES;
      end = SEGMENT_HEADER_BYTES;
    }
    end += rest;
  }
  return headers;
}
