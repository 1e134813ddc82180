import {
  type BigFile,
  BLOB_ROW_BYTES,
  type CommitBatch,
  type PlacedLayerRow,
} from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import type { AccountErrors } from "./account-errors.ts";
import type { IndexDb } from "./index-db.ts";
import { digestKey, leaseKey, META_KEY, memoKey, memosOf, ROW, segmentKey } from "./index-keys.ts";
import * as rows from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { readU32, readU48 } from "./little-endian.ts";
import { LAYER_RECORD_BYTES, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import type { Place } from "./place-list.ts";

type Segment = { -readonly [K in keyof rows.SegmentRow]: rows.SegmentRow[K] };
type Counters = { -readonly [K in keyof rows.MetaRow]: rows.MetaRow[K] };

/**
 * Changes to the index within one write transaction: rows are put at once, counters and segment accounting when `flush` is
 * called at its end.
 */
export class IndexChanges {
  readonly #index: IndexDb;
  readonly #view: IndexView;
  readonly #meta: Counters;
  readonly #segments = new Map<number, Segment>();
  /** A blob row's key and value, reused from row to row. */
  readonly #key = Buffer.allocUnsafeSlow(33);
  readonly #value = Buffer.allocUnsafeSlow(rows.BLOB_VALUE_BYTES);
  /** Of content that comes. */
  readonly #born: number;
  #changed = false;

  /** @param born the day of today; 0 where content comes of which nobody knows since when it is there */
  constructor(index: IndexDb, born = 0) {
    this.#index = index;
    this.#born = born;
    this.#view = new IndexView(index);
    this.#meta = { ...this.#view.meta() };
    this.#key[0] = ROW.blob;
  }

  get epoch(): number {
    return this.#meta.epoch;
  }

  /** Keeps the references of a batch that GC has condemned meanwhile. */
  revive(references: Uint8Array): void {
    for (let at = 0; at < references.byteLength; at += 32) {
      const digest = digestFromBytes(references.subarray(at, at + 32));
      this.reviveBlob(digest);
    }
  }

  /** The row, when it was condemned and is live again. */
  reviveBlob(digest: Digest): rows.BlobRow | undefined {
    const row = this.#view.blob(digest);
    if (row?.state !== rows.BLOB_STATE.condemned) return undefined;
    this.#putBlob(digest, { ...row, state: rows.BLOB_STATE.live });
    this.#index.remove(digestKey(ROW.condemned, digest));
    return row;
  }

  /** Tasks that began before now have to be checked when they commit. Answers the new epoch. */
  moveEpoch(): number {
    this.#changed = true;
    this.#meta.epoch += 1;
    return this.#meta.epoch;
  }

  /** Live content counts as absent from now on, and can be revived. The caller has moved the epoch. */
  condemn(digest: Digest, atMs: number): void {
    const row = this.#view.blob(digest);
    if (row?.state !== rows.BLOB_STATE.live) return;
    this.#putBlob(digest, { ...row, state: rows.BLOB_STATE.condemned });
    const key = digestKey(ROW.condemned, digest);
    this.#index.put(key, rows.encodeCondemned(key, { atMs, epoch: this.#meta.epoch }));
  }

  /** Takes a blob out of the index, and the layers whose listing it is: they cannot be read without it. Its bytes stay. */
  removeBlob(digest: Digest): void {
    const row = this.#view.blob(digest);
    if (row === undefined) return;
    this.#changed = true;
    this.#forget(digest, row);
    this.#index.remove(digestKey(ROW.blob, digest));
    if (row.kind === "big") this.#index.remove(digestKey(ROW.crcs, digest));
    this.removeLayersOf(digest);
  }

  /** Removes the layers that are computed from a listing. */
  removeLayersOf(subtree: Digest): void {
    const memos = this.#index.rows({ ...memosOf(subtree), limit: Number.MAX_SAFE_INTEGER });
    for (const { key, value } of memos) {
      this.#changed = true;
      this.#index.remove(key);
      this.#removeLayer(rows.decodeMemo(key, value).digest, subtree);
    }
  }

  /** A time stamp whose blob is not condemned. */
  forgetCondemned(digest: Digest): void {
    this.#changed = true;
    this.#index.remove(digestKey(ROW.condemned, digest));
  }

  /** The layer of this very subtree. */
  #removeLayer(digest: Digest, subtree: Digest): void {
    const layer = this.#view.layer(digest);
    if (layer?.subtree !== subtree) return;
    this.#index.remove(digestKey(ROW.layer, digest));
    this.#meta.layers -= 1;
    this.#account(layer.segment, -LAYER_RECORD_BYTES);
  }

  /** Points a blob's row to a copy of its record; false when the row does not point to segment `from` (any more). */
  moveBlob(digest: Digest, from: number, to: { segment: number; offset: number }): boolean {
    const row = this.#view.blob(digest);
    if (row?.kind !== "packed" || row.segment !== from || row.state === rows.BLOB_STATE.damaged) return false;
    this.#putBlob(digest, { ...row, ...to });
    this.#account(from, -(row.size + RECORD_OVERHEAD_BYTES));
    this.#account(to.segment, row.size + RECORD_OVERHEAD_BYTES);
    return true;
  }

  /** {@link IndexChanges.moveBlob} for a layer's record. */
  moveLayer(row: PlacedLayerRow, from: number): boolean {
    const { digest, segment, offset } = row;
    const layer = this.#view.layer(digest);
    if (layer?.segment !== from || layer.subtree !== row.subtree) return false;
    this.#changed = true;
    const key = digestKey(ROW.layer, digest);
    this.#index.put(key, rows.encodeLayerRow(key, { ...layer, segment, offset }));
    this.#account(from, -LAYER_RECORD_BYTES);
    this.#account(segment, LAYER_RECORD_BYTES);
    return true;
  }

  /** Rows of a batch whose content is durable. Content that is there already stays where it is: first commit wins. */
  addBatch(batch: CommitBatch, nonces: ReadonlyMap<number, Uint8Array>): void {
    for (const { id, end } of batch.segments) this.#extendSegment(id, end, nonces.get(id));
    for (let at = 0; at < batch.blobs.byteLength; at += BLOB_ROW_BYTES) this.#addRow(batch.blobs, at);
    for (const file of batch.bigFiles) this.addBig(file);
    for (const row of batch.layers) this.addLayer(row);
  }

  /** {@link IndexChanges.addPacked} for a row of a batch, without objects for the usual case of new content (4 us against 8). */
  #addRow(blobs: Uint8Array, at: number): void {
    const key = this.#key;
    for (let i = 0; i < 32; i++) key[i + 1] = blobs[at + i] ?? 0;
    const state = this.#index.peek(key, rows.BLOB_STATE_AT);
    if (state === rows.BLOB_STATE.live) return;
    const segment = readU32(blobs, at + 32);
    const offset = readU48(blobs, at + 36);
    const size = readU32(blobs, at + 42);
    if (state !== undefined) {
      this.addPacked(digestFromBytes(key.subarray(1)), { segment, offset, size });
      return;
    }
    this.#changed = true;
    const row = { segment, offset, size, born: this.#born };
    this.#index.put(key, rows.encodePackedRow(this.#value, key, row));
    this.#countPacked(segment, size);
  }

  #countPacked(segment: number, size: number): void {
    this.#meta.packedBlobs += 1;
    this.#meta.packedBytes += size;
    this.#account(segment, size + RECORD_OVERHEAD_BYTES);
  }

  /** Starts or extends a segment's committed part. */
  #extendSegment(id: number, end: number, nonce: Uint8Array | undefined): void {
    if (nonce === undefined) throw new RangeError(`segment ${id} was not synced`);
    const segment = this.#segment(id) ?? { end: 0, liveBytes: 0, liveRecords: 0, nonce };
    segment.end = Math.max(segment.end, end);
    this.#changed = true;
    this.#segments.set(id, segment);
    this.#meta.segmentWatermark = Math.max(this.#meta.segmentWatermark, id);
  }

  setSegment(id: number, segment: { end: number; nonce: Uint8Array }): void {
    this.#extendSegment(id, segment.end, segment.nonce);
  }

  addPacked(digest: Digest, place: { segment: number; offset: number; size: number }): void {
    const old = this.#view.blob(digest);
    if (old?.state === rows.BLOB_STATE.live) return;
    if (old !== undefined) this.#forget(digest, old);
    const born = old?.born ?? this.#born;
    this.#putBlob(digest, { kind: "packed", state: rows.BLOB_STATE.live, born, ...place });
    this.#countPacked(place.segment, place.size);
  }

  addBig(file: Omit<BigFile, "stagingName">): void {
    const old = this.#view.blob(file.digest);
    if (old?.state === rows.BLOB_STATE.live) return;
    if (old !== undefined) this.#forget(file.digest, old);
    const born = old?.born ?? this.#born;
    this.#putBlob(file.digest, { kind: "big", state: rows.BLOB_STATE.live, size: file.size, born });
    const key = digestKey(ROW.crcs, file.digest);
    this.#index.put(key, rows.encodeCrcs(key, file.crcs));
    this.#meta.bigBlobs += 1;
    this.#meta.bigBytes += file.size;
  }

  addLayer(row: PlacedLayerRow): void {
    const { digest, ...value } = row;
    if (this.#view.layer(digest) === undefined) {
      const key = digestKey(ROW.layer, digest);
      this.#index.put(key, rows.encodeLayerRow(key, value));
      this.#meta.layers += 1;
      this.#account(row.segment, LAYER_RECORD_BYTES);
    }
    this.#changed = true;
    const memo = memoKey(row.subtree, row.encoder);
    this.#index.put(memo, rows.encodeMemo(memo, { digest, size: row.size }));
  }

  /**
   * Marks content as not to be served; false when there is nothing to mark. Moves the epoch: running tasks may rely on it.
   * @param at where a packed blob was found to be damaged: what has come again since lies elsewhere
   */
  damage(digest: Digest, at?: Place): boolean {
    const row = this.#view.blob(digest);
    if (row === undefined || row.state === rows.BLOB_STATE.damaged) return false;
    if (at !== undefined && !rows.liesAt(row, at)) return false;
    this.#putBlob(digest, { ...row, state: rows.BLOB_STATE.damaged });
    if (row.state === rows.BLOB_STATE.condemned) this.#index.remove(digestKey(ROW.condemned, digest));
    this.#meta.damagedBlobs += 1;
    this.#meta.epoch += 1;
    return true;
  }

  putLease(id: string, untilMs: number): void {
    this.#changed = true;
    const key = leaseKey(id);
    if (this.#index.get(key) === undefined) this.#countRows("leases", 1);
    this.#index.put(key, rows.encodeLease(key, untilMs));
  }

  removeLease(id: string): boolean {
    const key = leaseKey(id);
    if (this.#index.get(key) === undefined) return false;
    this.#changed = true;
    this.#countRows("leases", -1);
    this.#index.remove(key);
    return true;
  }

  /** Cuts the committed part of a segment that lost its tail; its rows beyond have to be marked damaged. */
  shortenSegment(id: number, end: number): void {
    const segment = this.#segment(id);
    if (segment === undefined) return;
    segment.end = Math.min(segment.end, end);
    this.#changed = true;
    this.#segments.set(id, segment);
  }

  /** Takes errors off the accounts; of what changed since they were counted, both sides have the same. */
  correct({ segments, counters }: AccountErrors): void {
    this.#changed = true;
    for (const { id, bytes, records } of segments) {
      const segment = this.#segment(id);
      if (segment === undefined) continue;
      segment.liveBytes -= bytes;
      segment.liveRecords -= records;
      this.#segments.set(id, segment);
    }
    for (const { name, by } of counters) this.#meta[name] = (this.#meta[name] ?? 0) - by;
  }

  removeSegment(id: number): void {
    this.#changed = true;
    this.#segments.delete(id);
    if (this.#view.segment(id) !== undefined) this.#countRows("segments", -1);
    this.#index.remove(segmentKey(id));
  }

  /** Writes what was collected; nothing when nothing changed, so that an idle transaction costs no sync. */
  flush(): void {
    if (!this.#changed) return;
    for (const [id, segment] of this.#segments) {
      const key = segmentKey(id);
      if (this.#index.get(key) === undefined) this.#countRows("segments", 1);
      this.#index.put(key, rows.encodeSegmentRow(key, segment));
    }
    this.#index.put(META_KEY, rows.encodeMeta(META_KEY, this.#meta));
  }

  #countRows(name: "segments" | "leases", by: number): void {
    const count = this.#meta[name];
    if (count !== undefined) this.#meta[name] = count + by;
  }

  /** Begins to count, in an index of an earlier version. */
  countFrom(counts: { segments: number; leases: number }): void {
    this.#changed = true;
    Object.assign(this.#meta, counts);
  }

  #putBlob(digest: Digest, row: rows.BlobRow): void {
    this.#changed = true;
    const key = digestKey(ROW.blob, digest);
    this.#index.put(key, rows.encodeBlobRow(key, row));
  }

  /** Takes a row that is about to be replaced out of the accounts. */
  #forget(digest: Digest, row: rows.BlobRow): void {
    if (row.state === rows.BLOB_STATE.condemned) this.#index.remove(digestKey(ROW.condemned, digest));
    if (row.state === rows.BLOB_STATE.damaged) this.#meta.damagedBlobs -= 1;
    if (row.kind === "big") {
      this.#meta.bigBlobs -= 1;
      this.#meta.bigBytes -= row.size;
      return;
    }
    this.#meta.packedBlobs -= 1;
    this.#meta.packedBytes -= row.size;
    this.#account(row.segment, -(row.size + RECORD_OVERHEAD_BYTES));
  }

  #account(id: number, bytes: number): void {
    const segment = this.#segment(id);
    if (segment === undefined) return;
    segment.liveBytes += bytes;
    segment.liveRecords += Math.sign(bytes);
    this.#segments.set(id, segment);
  }

  #segment(id: number): Segment | undefined {
    const known = this.#segments.get(id);
    if (known !== undefined) return known;
    const row = this.#view.segment(id);
    return row === undefined ? undefined : { ...row };
  }
}
