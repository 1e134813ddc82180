import { gunzipSync } from "node:zlib";
import { digestOf } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { parseListing } from "../proto/listing.ts";
import type { BlobRange } from "../proto/upload-session.ts";
import { type PlanResult, type PlanTask, TASK_CELL } from "../proto/worker-tasks.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { contentStats } from "./content-stats.ts";
import { knownContent } from "./known-content.ts";

/** 256 KiB: with the default of 16 KiB zlib spends more time between its calls than in them. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Checks a listing and finds what of it has to be sent: what the project's recent trees do not name (ruling 8), or what they
 * name and the store cannot serve any more.
 * @throws GranaryError LISTING_INVALID, ARCHIVE_*, STORE_*
 */
export function planUpload(task: PlanTask, store: ThreadStore): PlanResult {
  new Float64Array(task.cell)[TASK_CELL.progress] = 1;
  const listing = expand(task.listing);
  const { tree, blobs } = parseListing(listing, task);
  const writer = store.beginTask(task.cell);
  try {
    // What was retired and condemned since the task was made is no base any more.
    const bases = task.baseTrees.filter((base) => writer.has(base));
    const fresh = knownContent.missingIn(blobs, bases, (base) => writer.readBlob(base));
    const missing = blobs.map((blob) => fresh.has(blob) || !writer.has(blob.digest));
    return {
      tree: digestOf(listing),
      listing,
      missing: rangesOf(missing),
      missingBlobs: missing.filter(Boolean).length,
      missingBytes: blobs.reduce((sum, { size }, at) => sum + (missing[at] === true ? size : 0), 0),
      stats: contentStats(
        tree.entries.filter((entry) => entry.type === "file"),
        fresh,
      ),
      warnings: tree.warnings,
      relied: writer.finish(),
    };
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function expand(gzip: Uint8Array): Buffer {
  try {
    return gunzipSync(gzip, { maxOutputLength: LIMITS.listingBytes, chunkSize: CHUNK_BYTES });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (code === "ERR_BUFFER_TOO_LARGE") {
      const limit = LIMITS.listingBytes;
      throw new GranaryError(
        "BODY_TOO_LARGE",
        `the listing has more than ${limit} bytes`,
        { limit },
        { cause },
      );
    }
    throw new GranaryError("LISTING_INVALID", `the listing is not valid gzip (${code})`, {}, { cause });
  }
}

function rangesOf(missing: readonly boolean[]): BlobRange[] {
  const ranges: BlobRange[] = [];
  for (let at = 0; at < missing.length; at++) {
    if (missing[at] !== true) continue;
    const first = at;
    while (missing[at + 1] === true) at += 1;
    ranges.push([first, at + 1 - first]);
  }
  return ranges;
}
