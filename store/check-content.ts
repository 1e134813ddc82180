import { createHash } from "node:crypto";
import fs from "node:fs";
import { crc32 } from "node:zlib";
import { type Digest, digestFromBytes, digestHex, digestOf } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { layerSize } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import { parseTree, type TreeEntry } from "../proto/tree.ts";
import { BlobReader } from "./blob-reader.ts";
import { checkRecord, type RecordVerdict } from "./check-record.ts";
import { ifPresent, readFullySync, type StoreFs } from "./fs.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import * as rows from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { readU32 } from "./little-endian.ts";
import {
  decodeSegmentHeader,
  encodeLayerPayload,
  RECORD_KIND,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from "./pack-format.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";
import { walkEnd } from "./walk-segment.ts";

/**
 * corrupt: content that does not match its digest. missing: content without its file or segment, layers without their listing.
 * misframed: content that is right in a record that is not: it is served, but a rebuild of the index would not find it. row: a row of
 * the index, by its key in hex. segment: where the walk through a segment ends before content that rows point to: a rebuild would lose
 * that. account: a segment, or a counter of the store, that says something else than the rows. root: a path of a materialized root
 * that is not as its tree has it.
 */
export interface Finding {
  readonly kind: "corrupt" | "missing" | "misframed" | "row" | "segment" | "account" | "root";
  readonly name: string;
}

interface Options {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  readonly found: (finding: Finding) => void;
  /** Told of every part that was read; may sleep, or throw to end the check. */
  readonly read: (bytes: number) => void;
}

/** Verifies what single rows say, and that segments can be walked. Changes nothing. */
export class ContentChecker {
  readonly #options: Options;
  readonly #view: IndexView;
  readonly #reader: BlobReader;
  readonly #fds = new Map<number, number | undefined>();

  constructor(options: Options) {
    this.#options = options;
    this.#view = new IndexView(options.index);
    this.#reader = new BlobReader(options);
  }

  close(): void {
    this.#reader.close();
    for (const fd of this.#fds.values()) if (fd !== undefined) fs.closeSync(fd);
    this.#fds.clear();
  }

  /** Whether the row stands for content: a blob or a layer. */
  row(key: Buffer, value: Buffer): boolean {
    const content = ifIntact(() => this.#checkRow(key, value));
    if (content !== undefined) return content;
    // GC may have been at it; what it wrote in its place is looked at by whoever comes next.
    this.#options.index.refresh();
    const now = this.#options.index.get(key);
    if (now !== undefined && value.equals(now)) this.#found("row", key.toString("hex"));
    return false;
  }

  #checkRow(key: Buffer, value: Buffer): boolean {
    const digest = (): Digest => digestFromBytes(key.subarray(1));
    switch (key[0]) {
      case ROW.blob:
        this.#checkBlob(digest(), rows.decodeBlobRow(key, value));
        return true;
      case ROW.layer:
        rows.decodeLayerRow(key, value);
        return this.#checkLayer(digest());
      case ROW.crcs:
        rows.decodeCrcs(key, value);
        return false;
      case ROW.condemned:
        rows.decodeCondemned(key, value);
        return false;
      case ROW.memo:
        rows.decodeMemo(key, value);
        return false;
      case ROW.segment:
        rows.decodeSegmentRow(key, value);
        return false;
      case ROW.lease:
        rows.decodeLease(key, value);
        return false;
      case ROW.meta:
        rows.decodeMeta(key, value);
        return false;
      default:
        throw new GranaryError("STORE_CORRUPT", "a row of no kind");
    }
  }

  /**
   * Whether a segment can be walked as far as rows point into it.
   * @param liveEnd where the last record ends that a row points to
   */
  segment(id: number, liveEnd: number): void {
    const brokenAt = this.#brokenAt(id, liveEnd);
    if (brokenAt === undefined) return;
    this.#options.index.refresh();
    // GC has dropped it meanwhile. A damaged row is none less.
    if (ifIntact(() => this.#view.segment(id) ?? null) === null) return;
    this.#found("segment", `${segmentName(id)}@${brokenAt}`);
  }

  #brokenAt(id: number, liveEnd: number): number | undefined {
    const fd = this.#open(id);
    // Its content is missing, which is said of each.
    if (fd === undefined) return undefined;
    return walkEnd(fd, { id, until: liveEnd, read: this.#options.read });
  }

  #checkBlob(digest: Digest, row: rows.BlobRow): void {
    const verdict = row.kind === "packed" ? this.#checkPacked(digest, row) : this.#checkBig(digest, row.size);
    if (verdict !== "intact" && this.#changed(digest, row)) return;
    if (verdict === "missing") this.#found("missing", digest);
    else if (verdict === "framing") this.#found("misframed", digest);
    else if (verdict === "corrupt" || row.state === rows.BLOB_STATE.damaged) this.#found("corrupt", digest);
  }

  /** GC or an upload was at it meanwhile: what is there now is checked in its place, what is gone needs no check. */
  #changed(digest: Digest, row: rows.BlobRow): boolean {
    this.#options.index.refresh();
    const now = this.#view.blob(digest);
    if (now === undefined) return true;
    if (row.kind !== "packed" || now.kind !== "packed") return now.kind !== row.kind;
    if (now.segment === row.segment && now.offset === row.offset) return false;
    this.#checkBlob(digest, now);
    return true;
  }

  #checkPacked(digest: Digest, { segment, offset, size }: Place): RecordVerdict | "missing" {
    return this.#checkRecord({ segment, offset, size }, { digest, size, by: "sha256" });
  }

  #checkRecord(
    { segment, offset, size }: Place,
    expected: { digest: Digest; size: number; by: "sha256"; kind?: number },
  ): RecordVerdict | "missing" {
    const fd = this.#open(segment);
    if (fd === undefined) return "missing";
    const record = Buffer.allocUnsafeSlow(size + RECORD_OVERHEAD_BYTES);
    const got = readFullySync(fd, record, offset);
    this.#options.read(got);
    return checkRecord(record.subarray(0, got), { ...expected, nonce: this.#nonce(segment, fd) });
  }

  /** That of the row; of the file when the row is damaged, which is said of the row. */
  #nonce(segment: number, fd: number): Uint8Array {
    const row = ifIntact(() => this.#view.segment(segment) ?? null);
    if (row !== undefined) return row?.nonce ?? Buffer.alloc(0);
    const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
    readFullySync(fd, header, 0);
    return decodeSegmentHeader(header)?.nonce ?? Buffer.alloc(0);
  }

  #checkBig(digest: Digest, size: number): "intact" | "corrupt" | "missing" {
    const crcs = ifIntact(() => this.#view.crcs(digest) ?? null);
    const fd = ifPresent(() => fs.openSync(this.#options.paths.bigFile(digest), "r"));
    if (fd === undefined) return "missing";
    try {
      if (crcs === null || fs.fstatSync(fd).size !== size) return "corrupt";
      return sumsFit({ fd, size, digest, crcs }, this.#options.read) ? "intact" : "corrupt";
    } finally {
      fs.closeSync(fd);
    }
  }

  /** A layer is as good as its record, its listing, and what that lists; the blobs themselves are checked on their own. */
  #checkLayer(digest: Digest): boolean {
    const layer = this.#view.layer(digest);
    if (layer === undefined) return false;
    const row = this.#blobRow(layer.subtree);
    // GC deletes such a layer with its listing, and what it lists in no order.
    if (row?.state === rows.BLOB_STATE.condemned) return false;
    this.#checkLayerRecord(layer);
    const entries = row?.state === rows.BLOB_STATE.live ? this.#listing(layer.subtree, row) : undefined;
    const complete = entries?.every((entry) => {
      const blob = entry.type === "file" ? this.#blobRow(entry.digest) : undefined;
      return entry.type !== "file" || (blob?.size === entry.size && blob.state !== rows.BLOB_STATE.damaged);
    });
    if (entries !== undefined && complete === true) {
      if (layerSize(entries) !== layer.size) this.#found("corrupt", digest);
    } else {
      this.#options.index.refresh();
      if (this.#view.layer(digest) !== undefined) this.#found("missing", digest);
    }
    return true;
  }

  #checkLayerRecord(layer: { digest: Digest; segment: number; offset: number } & rows.LayerValue): void {
    const payload = encodeLayerPayload(layer);
    const { segment, offset } = layer;
    const expected = { digest: digestOf(payload), size: payload.byteLength, kind: RECORD_KIND.layer };
    const verdict = this.#checkRecord(
      { segment, offset, size: payload.byteLength },
      { ...expected, by: "sha256" },
    );
    if (verdict === "intact") return;
    this.#options.index.refresh();
    const now = this.#view.layer(layer.digest);
    if (now === undefined) return;
    if (now.segment !== segment || now.offset !== offset) this.#checkLayerRecord(now);
    else this.#found("misframed", layer.digest);
  }

  /** undefined when there is none, or one that is damaged: that is said of the row itself. */
  #blobRow(digest: Digest): rows.BlobRow | undefined {
    return ifIntact(() => this.#view.blob(digest));
  }

  /** undefined when the listing is damaged, which its own row's check has found. */
  #listing(subtree: Digest, row: rows.BlobRow): TreeEntry[] | undefined {
    return ifIntact(() => parseTree(this.#reader.read(subtree, row)));
  }

  #found(kind: Finding["kind"], name: string): void {
    this.#options.found({ kind, name });
  }

  #open(id: number): number | undefined {
    if (!this.#fds.has(id)) {
      if (this.#fds.size >= OPEN_SEGMENTS) this.#closeOldest();
      const open = (): number => fs.openSync(this.#options.paths.segment(id), "r");
      this.#fds.set(id, ifPresent(open));
    }
    return this.#fds.get(id);
  }

  #closeOldest(): void {
    for (const [id, fd] of this.#fds) {
      if (fd !== undefined) fs.closeSync(fd);
      this.#fds.delete(id);
      return;
    }
  }
}

interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly size: number;
}

/** A store of 10^7 blobs has some hundred; a file that GC has deleted is not held for longer than it takes to open as many. */
const OPEN_SEGMENTS = 64;

/** @param file.crcs undefined when they are damaged: the sha256 has to do */
function sumsFit(
  file: { fd: number; size: number; digest: Digest; crcs: Uint8Array | undefined },
  read: (bytes: number) => void,
): boolean {
  const chunk = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
  const sum = createHash("sha256");
  for (let at = 0; at < file.size; at += LIMITS.crcChunkBytes) {
    const bytes = chunk.subarray(0, readFullySync(file.fd, chunk, at));
    read(bytes.byteLength);
    if (file.crcs !== undefined && crc32(bytes) !== readU32(file.crcs, (at / LIMITS.crcChunkBytes) * 4))
      return false;
    sum.update(bytes);
  }
  return sum.digest("hex") === digestHex(file.digest);
}
