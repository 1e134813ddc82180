import { gunzipSync } from "node:zlib";
import { type Digest, digestOf } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { type FileEntry, parseListing } from "../proto/listing.ts";
import type { BlobRange } from "../proto/upload-session.ts";
import { type PlanResult, type PlanTask, TASK_CELL } from "../proto/worker-tasks.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { contentStats } from "./content-stats.ts";
import { KnownTree, type TreeMemory } from "./tree-memory.ts";

/** 256 KiB: with the default of 16 KiB zlib spends more time between its calls than in them. */
const CHUNK_BYTES = 256 * 1024;

/**
 * Checks a listing and finds what of it has to be sent: what the project's recent trees do not name (ruling 8), or what they
 * name and the store cannot serve any more.
 * @throws GranaryError LISTING_INVALID, ARCHIVE_*, STORE_*
 */
export function planUpload(task: PlanTask, store: ThreadStore, memory: TreeMemory): PlanResult {
  new Float64Array(task.cell)[TASK_CELL.progress] = 1;
  const listing = expand(task.listing);
  const writer = store.beginTask(task.cell);
  try {
    // What was retired and condemned since the task was made is no base any more.
    const bases = task.baseTrees.filter((base) => writer.has(base));
    const read = (base: Digest): Buffer => writer.readBlob(base);
    const [newest] = bases;
    const base = newest === undefined ? undefined : memory.take(newest, bases, () => read(newest));
    const planned = planInto(listing, { task, writer, memory, bases, base, read });
    return { ...planned, relied: writer.finish() };
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

interface PlanContext {
  readonly task: PlanTask;
  readonly writer: TaskWriter;
  readonly memory: TreeMemory;
  readonly bases: readonly Digest[];
  /** The newest of `bases`. */
  readonly base: KnownTree | undefined;
  readonly read: (base: Digest) => Buffer;
}

function planInto(
  bytes: Buffer,
  { task, writer, memory, bases, base, read }: PlanContext,
): Omit<PlanResult, "relied"> {
  const { limits, portableNames } = task;
  const listing = parseListing(bytes, { limits, portableNames }, base);
  const { tree, inBase, distinct, warnings } = listing;
  const beside = base === undefined || inBase === undefined ? undefined : { known: base, inBase };
  const digest = digestOf(bytes);
  const known = new KnownTree(tree, beside);
  known.check = { rules: listing.rules, warnings };
  known.distinct = distinct;
  known.relyOnFound(writer);
  const blobs = distinct.map((i) => tree.entries[i] as FileEntry);
  const others = blobs.filter((_, at) => (inBase?.[distinct[at] ?? 0] ?? -1) < 0);
  const fresh = memory.missingIn(others, bases, read);
  const missing = distinct.map((i, at) => {
    const blob = blobs[at];
    return blob === undefined || fresh.has(blob) || !known.hasContent(i, writer);
  });
  memory.add(digest, known);
  return {
    tree: digest,
    listing: bytes,
    missing: rangesOf(missing),
    missingBlobs: missing.filter(Boolean).length,
    missingBytes: blobs.reduce((sum, { size }, at) => sum + (missing[at] === true ? size : 0), 0),
    stats: contentStats(
      tree.entries.filter((entry) => entry.type === "file"),
      fresh,
    ),
    warnings,
  };
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
