import { crc32 } from "node:zlib";
import type { LayerRow } from "../proto/commit-batch.ts";
import { type Digest, digestBytes, digestFromBytes } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from "./little-endian.ts";
import { NONCE_BYTES } from "./pack-format.ts";
import type { Place } from "./place-list.ts";

/** Values of the index. Each ends in a crc32 over key and value: lmdb does not notice bit flips. */

/** live: served. condemned: GC is about to delete it; counts as absent. damaged: failed verification; counts as absent until healed. */
export const BLOB_STATE = { live: 0, condemned: 1, damaged: 2 } as const;
export type BlobState = (typeof BLOB_STATE)[keyof typeof BLOB_STATE];

/** Day (since 1970) on which content first came, wherever its record lies by now; 0: not known. */
interface Born {
  readonly born?: number;
}

export type BlobRow = Born & BlobPlace;

type BlobPlace =
  | {
      readonly kind: "packed";
      readonly state: BlobState;
      readonly segment: number;
      readonly offset: number;
      readonly size: number;
    }
  | { readonly kind: "big"; readonly state: BlobState; readonly size: number };

export function liesAt(row: BlobRow, { segment, offset }: Place): boolean {
  return row.kind === "packed" && row.segment === segment && row.offset === offset;
}

/** kind (u8) | state (u8) | segment (u32) | offset (u48) | size (u48) | day (u16) | crc. */
export const BLOB_VALUE_BYTES = 24;
const PACKED = 1;
const BIG = 2;

export function encodeBlobRow(key: Uint8Array, row: BlobRow): Buffer {
  const value = Buffer.alloc(BLOB_VALUE_BYTES);
  if (row.kind === "packed") encodePackedRow(value, key, row);
  else {
    value[0] = BIG;
    writeU48(value, row.size, 12);
    writeU16(value, row.born ?? 0, 18);
  }
  value[BLOB_STATE_AT] = row.state;
  return seal(key, value);
}

/** Fills `value` with a live packed row. */
export function encodePackedRow(
  value: Buffer,
  key: Uint8Array,
  place: Born & { segment: number; offset: number; size: number },
): Buffer {
  value[0] = PACKED;
  value[BLOB_STATE_AT] = BLOB_STATE.live;
  writeU32(value, place.segment, 2);
  writeU48(value, place.offset, 6);
  writeU48(value, place.size, 12);
  writeU16(value, place.born ?? 0, 18);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeBlobRow(key: Uint8Array, value: Uint8Array): BlobRow {
  check(key, value, BLOB_VALUE_BYTES);
  const state = blobStateOf(value);
  const size = readU48(value, 12);
  const born = readU16(value, 18);
  return value[0] === PACKED
    ? { kind: "packed", state, segment: readU32(value, 2), offset: readU48(value, 6), size, born }
    : { kind: "big", state, size, born };
}

/** Where a blob row holds its state: for look-ups whose answer is only a hint. */
export const BLOB_STATE_AT = 1;

function blobStateOf(value: Uint8Array): BlobState {
  const state = value[BLOB_STATE_AT];
  return state === BLOB_STATE.live
    ? BLOB_STATE.live
    : state === BLOB_STATE.condemned
      ? BLOB_STATE.condemned
      : BLOB_STATE.damaged;
}

/** A layer, and where its record lies (segment 0: nowhere), which GC has to keep. */
export interface LayerValue extends Omit<LayerRow, "digest"> {
  readonly segment: number;
  readonly offset: number;
}

const LAYER_VALUE_BYTES = 54;

export function encodeLayerRow(key: Uint8Array, row: LayerValue): Buffer {
  const value = Buffer.alloc(LAYER_VALUE_BYTES);
  writeU48(value, row.size, 0);
  writeU16(value, row.encoder, 6);
  value.set(digestBytes(row.subtree), 8);
  writeU32(value, row.segment, 40);
  writeU48(value, row.offset, 44);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeLayerRow(key: Uint8Array, value: Uint8Array): LayerValue {
  check(key, value, LAYER_VALUE_BYTES);
  return {
    size: readU48(value, 0),
    encoder: readU16(value, 6),
    subtree: digestFromBytes(value.subarray(8, 40)),
    segment: readU32(value, 40),
    offset: readU48(value, 44),
  };
}

const MEMO_VALUE_BYTES = 42;

export function encodeMemo(key: Uint8Array, layer: { digest: Digest; size: number }): Buffer {
  const value = Buffer.alloc(MEMO_VALUE_BYTES);
  value.set(digestBytes(layer.digest), 0);
  writeU48(value, layer.size, 32);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeMemo(key: Uint8Array, value: Uint8Array): { digest: Digest; size: number } {
  check(key, value, MEMO_VALUE_BYTES);
  return { digest: digestFromBytes(value.subarray(0, 32)), size: readU48(value, 32) };
}

/** Accounting of a segment. Dead bytes are `end - header - liveBytes`: duplicates, abandoned tasks, healed records. */
export interface SegmentRow {
  /** Where committed content ends; what lies behind is cut at start. */
  readonly end: number;
  /** Whole records that blob and layer rows point to. */
  readonly liveBytes: number;
  readonly liveRecords: number;
  readonly nonce: Uint8Array;
}

const SEGMENT_VALUE_BYTES = 36;

export function encodeSegmentRow(key: Uint8Array, row: SegmentRow): Buffer {
  const value = Buffer.alloc(SEGMENT_VALUE_BYTES);
  writeU48(value, row.end, 0);
  writeU48(value, row.liveBytes, 6);
  writeU32(value, row.liveRecords, 12);
  value.set(row.nonce, 16);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeSegmentRow(key: Uint8Array, value: Uint8Array): SegmentRow {
  check(key, value, SEGMENT_VALUE_BYTES);
  return {
    end: readU48(value, 0),
    liveBytes: readU48(value, 6),
    liveRecords: readU32(value, 12),
    nonce: Uint8Array.prototype.slice.call(value, 16, 16 + NONCE_BYTES),
  };
}

const LEASE_VALUE_BYTES = 12;

/** `untilMs` is wall-clock time; Infinity holds until it is released. */
export function encodeLease(key: Uint8Array, untilMs: number): Buffer {
  const value = Buffer.alloc(LEASE_VALUE_BYTES);
  value.writeDoubleLE(untilMs, 0);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeLease(key: Uint8Array, value: Uint8Array): number {
  check(key, value, LEASE_VALUE_BYTES);
  return new DataView(value.buffer, value.byteOffset, LEASE_VALUE_BYTES).getFloat64(0, true);
}

/** When GC condemned a blob, and under which epoch: tasks and readers that began before it may still be at work on it. */
export interface CondemnedRow {
  readonly atMs: number;
  readonly epoch: number;
}

const CONDEMNED_VALUE_BYTES = 18;

export function encodeCondemned(key: Uint8Array, { atMs, epoch }: CondemnedRow): Buffer {
  const value = Buffer.alloc(CONDEMNED_VALUE_BYTES);
  value.writeDoubleLE(atMs, 0);
  writeU48(value, epoch, 8);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeCondemned(key: Uint8Array, value: Uint8Array): CondemnedRow {
  check(key, value, CONDEMNED_VALUE_BYTES);
  const atMs = new DataView(value.buffer, value.byteOffset, CONDEMNED_VALUE_BYTES).getFloat64(0, true);
  return { atMs, epoch: readU48(value, 8) };
}

export function encodeCrcs(key: Uint8Array, crcs: Uint8Array): Buffer {
  const value = Buffer.alloc(crcs.byteLength + 4);
  value.set(crcs, 0);
  return seal(key, value);
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeCrcs(key: Uint8Array, value: Uint8Array): Uint8Array {
  check(key, value, value.byteLength);
  return Uint8Array.prototype.slice.call(value, 0, value.byteLength - 4);
}

/** One row of counters and identity. */
export interface MetaRow {
  readonly format: number;
  /** That of the store's `format` file: an index of another store would cut and delete what it does not know. */
  readonly storeId: string;
  /** Grows when content that look-ups called present stops being so (ruling 6); commits of older tasks are re-checked. */
  readonly epoch: number;
  /** Highest segment id that was ever used. */
  readonly segmentWatermark: number;
  readonly packedBlobs: number;
  readonly packedBytes: number;
  readonly bigBlobs: number;
  readonly bigBytes: number;
  readonly layers: number;
  /** Rows in state damaged. */
  readonly damagedBlobs: number;
  /** Rows of segments and leases: what has none of them is deleted at start. Absent in an index of an earlier version. */
  readonly segments?: number;
  readonly leases?: number;
}

export function encodeMeta(key: Uint8Array, meta: MetaRow): Buffer {
  const text = Buffer.from(JSON.stringify(meta));
  return seal(key, Buffer.concat([text, Buffer.alloc(4)]));
}

/** @throws GranaryError STORE_CORRUPT */
export function decodeMeta(key: Uint8Array, value: Uint8Array): MetaRow {
  check(key, value, value.byteLength);
  const text = Buffer.from(Uint8Array.prototype.slice.call(value, 0, value.byteLength - 4)).toString();
  return JSON.parse(text) as MetaRow;
}

function seal(key: Uint8Array, value: Buffer): Buffer {
  writeU32(value, crcOf(key, value), value.byteLength - 4);
  return value;
}

function crcOf(key: Uint8Array, value: Uint8Array): number {
  return crc32(value.subarray(0, value.byteLength - 4), crc32(key));
}

function check(key: Uint8Array, value: Uint8Array, bytes: number): void {
  if (value.byteLength !== bytes || bytes < 4 || readU32(value, bytes - 4) !== crcOf(key, value)) {
    throw new GranaryError(
      "STORE_CORRUPT",
      `a row of the index is damaged (key ${Buffer.from(key).toString("hex")}); rebuild it`,
      { rebuild: true, unreadable: true },
    );
  }
}
