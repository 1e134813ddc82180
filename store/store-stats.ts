import { diskBytesOf } from "./disk-bytes-of.ts";
import type { IndexView } from "./index-view.ts";
import { SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import type { StorePaths } from "./store-paths.ts";

export interface StoreStats {
  readonly blobs: number;
  readonly layers: number;
  readonly packedBytes: number;
  readonly bigFiles: number;
  readonly bigBytes: number;
  readonly segments: number;
  /** Committed bytes of all segments. */
  readonly packBytes: number;
  /** Bytes in segments that no row points to: duplicates, abandoned tasks, healed records. */
  readonly deadBytes: number;
  readonly inboxBytes: number;
  /** Everything in the store's folder: packs, big files, inbox, index, what is in staging, in quarantine and in reserve. */
  readonly diskBytes: number;
  /** Content that failed verification and waits to be uploaded again. */
  readonly damagedBlobs: number;
}

/** What the accounts say, and the disk of what has none. */
export function storeStats({
  paths,
  view,
  inboxBytes,
}: {
  paths: StorePaths;
  view: IndexView;
  inboxBytes: number;
}): StoreStats {
  const meta = view.meta();
  const segments = [...view.segments().values()];
  const packBytes = segments.reduce((sum, { end }) => sum + end, 0);
  // A segment that lost its tail has rows for what is gone.
  const deadBytes = segments.reduce(
    (sum, { end, liveBytes }) => sum + Math.max(0, end - SEGMENT_HEADER_BYTES - liveBytes),
    0,
  );
  const withoutRows = [paths.indexFile, paths.ballast, paths.quarantine, paths.staging];
  const otherBytes = withoutRows.reduce((sum, path) => sum + diskBytesOf(path), 0);
  return {
    blobs: meta.packedBlobs + meta.bigBlobs,
    layers: meta.layers,
    packedBytes: meta.packedBytes,
    bigFiles: meta.bigBlobs,
    bigBytes: meta.bigBytes,
    segments: segments.length,
    packBytes,
    deadBytes,
    inboxBytes,
    diskBytes: packBytes + meta.bigBytes + inboxBytes + otherBytes,
    damagedBlobs: meta.damagedBlobs,
  };
}
