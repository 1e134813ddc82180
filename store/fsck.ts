import { createHash } from "node:crypto";
import fs from "node:fs";
import { crc32 } from "node:zlib";
import { type Digest, digestFromBytes, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { layerSize } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import { parseTree, type TreeEntry } from "../proto/tree.ts";
import { BlobReader } from "./blob-reader.ts";
import { checkRecord, type RecordVerdict } from "./check-record.ts";
import { ifPresent, readFullySync, type StoreFs } from "./fs.ts";
import type { IndexReader } from "./index-db.ts";
import { keyAfter, ROW, rangeOf } from "./index-keys.ts";
import { BLOB_STATE, type BlobRow, decodeBlobRow } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { readU32 } from "./little-endian.ts";
import { RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import { bigFiles } from "./recover.ts";
import { segmentFiles } from "./recover-segments.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

/** Names that a result lists of each kind; the counts go on. */
const LISTED = 10_000;
const PAGE_ROWS = 1_000;

export interface FsckOptions {
  /** Checks only this part of the content: `{part: 0..of-1, of}`; all parts together are everything. */
  readonly subset?: { readonly part: number; readonly of: number };
}

export interface FsckResult {
  readonly checked: number;
  readonly checkedBytes: number;
  /** Content that does not match its digest. */
  readonly corrupt: readonly Digest[];
  /** Content that is right in a record that is not: it is served, but a rebuild of the index would not find it. */
  readonly misframed: readonly Digest[];
  /** Content without its file or segment; layers without their listing. */
  readonly missing: readonly Digest[];
  /** Files that nothing refers to. */
  readonly orphaned: readonly string[];
}

interface Fsck extends FsckOptions {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  /** Segments from this id on belong to threads at work. */
  readonly firstOpenSegment: number;
}

/** Re-reads and verifies content, in the thread that calls it. Changes nothing. */
export function fsck(options: Fsck): FsckResult {
  return new Checker(options).run();
}

class Checker {
  readonly #options: Fsck;
  readonly #view: IndexView;
  readonly #reader: BlobReader;
  readonly #nonces: ReadonlyMap<number, Uint8Array>;
  readonly #fds = new Map<number, number | undefined>();
  readonly #corrupt: Digest[] = [];
  readonly #misframed: Digest[] = [];
  readonly #missing: Digest[] = [];
  #checked = 0;
  #checkedBytes = 0;

  constructor(options: Fsck) {
    this.#options = options;
    options.index.refresh();
    this.#view = new IndexView(options.index);
    this.#reader = new BlobReader(options);
    this.#nonces = new Map([...this.#view.segments()].map(([id, { nonce }]) => [id, nonce]));
  }

  run(): FsckResult {
    try {
      this.#eachRow(ROW.blob, (digest, value, key) => this.#checkBlob(digest, decodeBlobRow(key, value)));
      this.#eachRow(ROW.layer, (digest) => this.#checkLayer(digest));
    } finally {
      this.#reader.close();
      for (const fd of this.#fds.values()) if (fd !== undefined) fs.closeSync(fd);
    }
    return {
      checked: this.#checked,
      checkedBytes: this.#checkedBytes,
      corrupt: this.#corrupt,
      misframed: this.#misframed,
      missing: this.#missing,
      orphaned: this.#orphaned(),
    };
  }

  /** Page by page, so that no snapshot is held for the hours that a large store takes. */
  #eachRow(
    row: typeof ROW.blob | typeof ROW.layer,
    check: (digest: Digest, value: Buffer, key: Buffer) => void,
  ): void {
    const { subset, index } = this.#options;
    let { from, to } = rangeOf(row);
    for (;;) {
      index.refresh();
      const page = index.rows({ from, to, limit: PAGE_ROWS });
      const last = page.at(-1);
      if (last === undefined) return;
      for (const { key, value } of page) {
        if (subset !== undefined && (key[1] ?? 0) % subset.of !== subset.part) continue;
        check(digestFromBytes(key.subarray(1)), value, key);
      }
      from = keyAfter(last.key);
      to = rangeOf(row).to;
    }
  }

  #checkBlob(digest: Digest, row: BlobRow): void {
    this.#checked += 1;
    this.#checkedBytes += row.size;
    const verdict = row.kind === "packed" ? this.#checkPacked(digest, row) : this.#checkBig(digest, row.size);
    if (verdict !== "intact" && this.#changed(digest, row)) return;
    if (verdict === "missing") list(this.#missing, digest);
    else if (verdict === "framing") list(this.#misframed, digest);
    else if (verdict === "corrupt" || row.state === BLOB_STATE.damaged) list(this.#corrupt, digest);
  }

  /** GC or an upload was at it meanwhile: what is there now is checked in its place, what is gone needs no check. */
  #changed(digest: Digest, row: BlobRow): boolean {
    this.#options.index.refresh();
    const now = this.#view.blob(digest);
    if (now === undefined) return true;
    if (row.kind !== "packed" || now.kind !== "packed") return false;
    if (now.segment === row.segment && now.offset === row.offset) return false;
    this.#checkBlob(digest, now);
    return true;
  }

  #checkPacked(
    digest: Digest,
    row: { segment: number; offset: number; size: number },
  ): RecordVerdict | "missing" {
    const fd = this.#segment(row.segment);
    if (fd === undefined) return "missing";
    const record = Buffer.allocUnsafeSlow(row.size + RECORD_OVERHEAD_BYTES);
    const got = readFullySync(fd, record, row.offset);
    const nonce = this.#nonces.get(row.segment) ?? this.#view.segment(row.segment)?.nonce ?? Buffer.alloc(0);
    return checkRecord(record.subarray(0, got), { digest, size: row.size, nonce, by: "sha256" });
  }

  #checkBig(digest: Digest, size: number): "intact" | "corrupt" | "missing" {
    const crcs = this.#view.crcs(digest);
    const fd = ifPresent(() => fs.openSync(this.#options.paths.bigFile(digest), "r"));
    if (fd === undefined) return "missing";
    try {
      if (crcs === undefined || fs.fstatSync(fd).size !== size) return "corrupt";
      return sumsFit({ fd, size, digest, crcs }) ? "intact" : "corrupt";
    } finally {
      fs.closeSync(fd);
    }
  }

  /** A layer is as good as its listing and what that lists; the blobs themselves are checked on their own. */
  #checkLayer(digest: Digest): void {
    const layer = this.#view.layer(digest);
    if (layer === undefined) return;
    const row = this.#view.blob(layer.subtree);
    // GC deletes such a layer with its listing, and what it lists in no order.
    if (row?.state === BLOB_STATE.condemned) return;
    this.#checked += 1;
    const entries = row?.state === BLOB_STATE.live ? this.#listing(layer.subtree, row) : undefined;
    const complete = entries?.every((entry) => {
      const blob = entry.type === "file" ? this.#view.blob(entry.digest) : undefined;
      return entry.type !== "file" || (blob?.size === entry.size && blob.state !== BLOB_STATE.damaged);
    });
    if (entries === undefined || complete !== true) list(this.#missing, digest);
    else if (layerSize(entries) !== layer.size) list(this.#corrupt, digest);
  }

  /** undefined when the listing is damaged, which its own row's check has found. */
  #listing(subtree: Digest, row: BlobRow): TreeEntry[] | undefined {
    try {
      return parseTree(this.#reader.read(subtree, row));
    } catch (error) {
      if (error instanceof GranaryError && error.code === "STORE_CORRUPT") return undefined;
      throw error;
    }
  }

  /** Big files without a row and segments without one; looked up last, so that what was committed meanwhile is not among them. */
  #orphaned(): string[] {
    const { paths, index, firstOpenSegment } = this.#options;
    const found = [...bigFiles(paths)];
    index.refresh();
    const orphaned = found
      .filter(({ digest }) => this.#view.blob(digest)?.kind !== "big")
      .map(({ digest }) => digest as string);
    for (const id of segmentFiles(paths)) {
      if (id < firstOpenSegment && this.#view.segment(id) === undefined) orphaned.push(segmentName(id));
    }
    return orphaned.slice(0, LISTED);
  }

  #segment(id: number): number | undefined {
    if (!this.#fds.has(id))
      this.#fds.set(
        id,
        ifPresent(() => fs.openSync(this.#options.paths.segment(id), "r")),
      );
    return this.#fds.get(id);
  }
}

function list(names: Digest[], digest: Digest): void {
  if (names.length < LISTED) names.push(digest);
}

function sumsFit(file: { fd: number; size: number; digest: Digest; crcs: Uint8Array }): boolean {
  const chunk = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
  const hash = createHash("sha256");
  for (let at = 0; at < file.size; at += LIMITS.crcChunkBytes) {
    const bytes = chunk.subarray(0, readFullySync(file.fd, chunk, at));
    if (crc32(bytes) !== readU32(file.crcs, (at / LIMITS.crcChunkBytes) * 4)) return false;
    hash.update(bytes);
  }
  return hash.digest("hex") === digestHex(file.digest);
}
