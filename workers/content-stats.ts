import type { FileEntry } from "../proto/listing.ts";
import type { SessionStats } from "../proto/upload-session.ts";

/** New and reused contents of a tree. `fresh` are those of its distinct contents that are new: one that occurs twice is new once. */
export function contentStats(files: readonly FileEntry[], fresh: ReadonlySet<FileEntry>): SessionStats {
  let newBytes = 0;
  for (const { size } of fresh) newBytes += size;
  const sizeBytes = files.reduce((sum, { size }) => sum + size, 0);
  return {
    new_blobs: fresh.size,
    new_blob_bytes: newBytes,
    reused_blobs: files.length - fresh.size,
    reused_blob_bytes: sizeBytes - newBytes,
  };
}
