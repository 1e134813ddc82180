import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type Digest, digestFromBytes, digestHex } from "../proto/digest.ts";
import { LIMITS } from "../proto/limits.ts";
import { checkRecord } from "./check-record.ts";
import { compactIndex } from "./compact-index.ts";
import { eachRow } from "./each-row.ts";
import { createFsCells, readFullySync, StoreFs, syncFolder } from "./fs.ts";
import { IndexChanges } from "./index-changes.ts";
import { type IndexDb, openIndexForWriting } from "./index-db.ts";
import { META_KEY, ROW } from "./index-keys.ts";
import { decodeLayerRow, encodeMeta } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { writeU32 } from "./little-endian.ts";
import { decodeLayerPayload, RECORD_HEADER_BYTES, RECORD_KIND, SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import { freshMeta, prepareFolder } from "./prepare-folder.ts";
import { bigFiles } from "./recover.ts";
import { segmentFiles } from "./recover-segments.ts";
import { type ScannedRecord, scanSegment } from "./scan-segment.ts";
import type { StoreLog } from "./store.ts";
import { PARTIAL_SUFFIX, StorePaths, segmentName } from "./store-paths.ts";

/** Leases are only in the index: uploads that were accepted must outlive its loss until their publish is over. */
const INBOX_LEASE_MS = 7 * 24 * 3_600_000;
/** Records of one write transaction. */
const TRANSACTION_RECORDS = 10_000;

interface Rebuild {
  readonly paths: StorePaths;
  readonly index: IndexDb;
  readonly log: StoreLog;
}

export interface RebuildResult {
  readonly blobs: number;
  readonly layers: number;
  readonly segments: number;
  /** Content that could not be used: it is not in the new index, its files went to quarantine. */
  readonly corrupt: readonly string[];
}

/**
 * Makes a new index from packs and big files alone, verifying all content, and puts it in the old one's place, which goes to
 * quarantine. For a store that no process has open.
 * @throws GranaryError STORE_FORMAT, STORE_FULL, STORE_IO
 */
export async function rebuildIndex(
  dir: string,
  options: { log: StoreLog; now?: () => number },
): Promise<RebuildResult> {
  const paths = new StorePaths(dir);
  const storeId = prepareFolder(paths, new StoreFs(createFsCells()));
  const draft = join(paths.root, "index.new");
  fs.rmSync(draft, { recursive: true, force: true });
  const index = openIndexForWriting(draft);
  index.transaction(() => index.put(META_KEY, encodeMeta(META_KEY, freshMeta(storeId))));
  const rebuild = { paths, index, log: options.log };
  const corrupt: string[] = [];
  for (const id of segmentFiles(paths).sort((a, b) => a - b)) corrupt.push(...addSegment(rebuild, id));
  for (const { path, digest } of bigFiles(paths))
    if (!addBigFile(rebuild, path, digest)) corrupt.push(digest);
  dropUnlistedLayers(index);
  leaseInbox(rebuild, (options.now ?? Date.now)() + INBOX_LEASE_MS);
  const result = summarize(index, corrupt);
  await index.close();
  for (const { level, message, data } of await compactIndex(draft)) options.log(level, message, data);
  replaceIndex(paths, draft);
  options.log("info", "the index was rebuilt", {
    blobs: result.blobs,
    layers: result.layers,
    corrupt: corrupt.length,
  });
  return result;
}

/** Indexes what is intact in a segment; answers the names of what is not. */
function addSegment({ paths, index, log }: Rebuild, id: number): string[] {
  const fd = fs.openSync(paths.segment(id), "r");
  try {
    if (fs.fstatSync(fd).size <= SEGMENT_HEADER_BYTES) return [];
    const scan = scanSegment(fd, id);
    if (scan === undefined) return [quarantineSegment({ paths, log }, id)];
    const corrupt = scan.headerDamaged ? [segmentName(id)] : [];
    let end: number | undefined;
    while (end === undefined) {
      index.transaction(() => {
        const changes = new IndexChanges(index);
        changes.setSegment(id, { end: 0, nonce: scan.nonce });
        for (let count = 0; count < TRANSACTION_RECORDS; count++) {
          const next = scan.records.next();
          if (next.done === true) {
            end = next.value;
            changes.setSegment(id, { end, nonce: scan.nonce });
            break;
          }
          if (!addRecord(changes, { record: next.value, id, nonce: scan.nonce }))
            corrupt.push(nameOf(id, next.value));
        }
        changes.flush();
      });
    }
    if (end < scan.sizeBytes) corrupt.push(keepTail({ paths, log }, { id, fd, start: end }));
    return corrupt;
  } finally {
    fs.closeSync(fd);
  }
}

/** Whether the record was intact. */
function addRecord(
  changes: IndexChanges,
  { record: scanned, id, nonce }: { record: ScannedRecord; id: number; nonce: Uint8Array },
): boolean {
  const { record, payloadBytes, offset, kind } = scanned;
  const payload = record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + payloadBytes);
  const trailerAt = RECORD_HEADER_BYTES + payloadBytes;
  const digest = digestFromBytes(record.subarray(trailerAt, trailerAt + 32));
  if (checkRecord(record, { digest, size: payloadBytes, nonce, by: "sha256", kind }) !== "intact")
    return false;
  if (kind === RECORD_KIND.blob) changes.addPacked(digest, { segment: id, offset, size: payloadBytes });
  const layer = kind === RECORD_KIND.layer ? decodeLayerPayload(payload) : undefined;
  if (layer !== undefined) changes.addLayer({ ...layer, segment: id, offset });
  return true;
}

function nameOf(id: number, { offset }: ScannedRecord): string {
  return `${segmentName(id)}@${offset}`;
}

/** A segment without any nonce cannot be walked; it is kept for a human to look at. */
function quarantineSegment({ paths, log }: Pick<Rebuild, "paths" | "log">, id: number): string {
  const name = segmentName(id);
  fs.renameSync(paths.segment(id), join(paths.quarantine, name));
  log("error", "STORE_CORRUPT: a segment's header is damaged; the segment went to quarantine", {
    segment: name,
  });
  return name;
}

/** What lies behind the end of trust would be cut at the next start; it is copied to quarantine first. */
function keepTail(
  { paths, log }: Pick<Rebuild, "paths" | "log">,
  { id, fd, start }: { id: number; fd: number; start: number },
): string {
  const name = `${segmentName(id)}@${start}`;
  const bytes = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
  const out = fs.openSync(join(paths.quarantine, name), "w", 0o600);
  try {
    for (let at = start; ; ) {
      const got = readFullySync(fd, bytes, at);
      if (got === 0) break;
      fs.writeSync(out, bytes, 0, got);
      at += got;
    }
    fs.fsyncSync(out);
  } finally {
    fs.closeSync(out);
  }
  log("error", "a segment can be read up to here only; the rest was copied to quarantine", {
    segment: segmentName(id),
    start,
  });
  return name;
}

/** Whether the file's content is that of its name. */
function addBigFile({ paths, index, log }: Rebuild, path: string, digest: Digest): boolean {
  const { hex, size, crcs } = sumFile(path);
  if (hex !== digestHex(digest)) {
    fs.renameSync(path, join(paths.quarantine, digestHex(digest)));
    log("error", "STORE_CORRUPT: a big file does not match its name; it went to quarantine", { digest });
    return false;
  }
  index.transaction(() => {
    const changes = new IndexChanges(index);
    changes.addBig({ digest, size, crcs });
    changes.flush();
  });
  return true;
}

function sumFile(path: string): { hex: string; size: number; crcs: Uint8Array } {
  const fd = fs.openSync(path, "r");
  try {
    const { size } = fs.fstatSync(fd);
    const crcs = Buffer.alloc(Math.ceil(size / LIMITS.crcChunkBytes) * 4);
    const chunk = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
    const hash = createHash("sha256");
    for (let at = 0; at < size; at += LIMITS.crcChunkBytes) {
      const bytes = chunk.subarray(0, readFullySync(fd, chunk, at));
      hash.update(bytes);
      writeU32(crcs, crc32(bytes), (at / LIMITS.crcChunkBytes) * 4);
    }
    return { hex: hash.digest("hex"), size, crcs };
  } finally {
    fs.closeSync(fd);
  }
}

/** GC deletes a layer with its listing; their records may go at different times. Whoever publishes it again computes it again. */
function dropUnlistedLayers(index: IndexDb): void {
  const view = new IndexView(index);
  const unlisted: Digest[] = [];
  eachRow(index, ROW.layer, (key, value) => {
    const { subtree } = decodeLayerRow(key, value);
    if (view.blob(subtree) === undefined) unlisted.push(subtree);
  });
  index.transaction(() => {
    const changes = new IndexChanges(index);
    for (const subtree of unlisted) changes.removeLayersOf(subtree);
    changes.flush();
  });
}

function leaseInbox({ paths, index }: Rebuild, untilMs: number): void {
  index.transaction(() => {
    const changes = new IndexChanges(index);
    for (const name of fs.readdirSync(paths.inbox))
      if (!name.endsWith(PARTIAL_SUFFIX)) changes.putLease(name, untilMs);
    changes.flush();
  });
}

function summarize(index: IndexDb, corrupt: readonly string[]): RebuildResult {
  const view = new IndexView(index);
  const meta = view.meta();
  return {
    blobs: meta.packedBlobs + meta.bigBlobs,
    layers: meta.layers,
    segments: view.segments().size,
    corrupt,
  };
}

/** A crash between the two renames leaves no index: the next start says so and offers the rebuild again. */
function replaceIndex(paths: StorePaths, draft: string): void {
  let number = 1;
  while (fs.existsSync(join(paths.quarantine, `index-${number}`))) number += 1;
  fs.renameSync(paths.index, join(paths.quarantine, `index-${number}`));
  fs.renameSync(draft, paths.index);
  for (const folder of [paths.index, paths.quarantine, paths.root]) syncFolder(folder);
}
