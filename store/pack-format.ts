import { crc32 } from "node:zlib";
import type { LayerRow } from "../proto/commit-batch.ts";
import { type Digest, digestBytes, digestFromBytes } from "../proto/digest.ts";
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from "./little-endian.ts";

/** The bytes of a pack segment; store/README.md describes them. */
export const SEGMENT_HEADER_BYTES = 64;
const SEGMENT_MAGIC = Buffer.from("GRANPACK");
const SEGMENT_FORMAT = 1;
export const NONCE_BYTES = 16;

/** nonce (16) | kind (u8) | zero (3) | payload size (u32) | crc32 of the 24 bytes before. */
export const RECORD_HEADER_BYTES = 28;
/** sha256 of the payload (32) | crc32 of the payload. */
export const RECORD_TRAILER_BYTES = 36;
export const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + RECORD_TRAILER_BYTES;
const RECORD_CRC_AT = 24;
const LAYER_PAYLOAD_BYTES = 72;
export const LAYER_RECORD_BYTES = LAYER_PAYLOAD_BYTES + RECORD_OVERHEAD_BYTES;

export const RECORD_KIND = { blob: 1, layer: 2 } as const;
export type RecordKind = (typeof RECORD_KIND)[keyof typeof RECORD_KIND];

export interface SegmentHeader {
  readonly id: number;
  readonly nonce: Uint8Array;
}

/** magic (8) | format (u32) | id (u32) | nonce (16) | zeros (28) | crc32 of the 60 bytes before. */
export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  bytes.set(SEGMENT_MAGIC, 0);
  writeU32(bytes, SEGMENT_FORMAT, 8);
  writeU32(bytes, header.id, 12);
  bytes.set(header.nonce, 16);
  writeU32(bytes, crc32(bytes.subarray(0, 60)), 60);
  return bytes;
}

/** undefined when the bytes are no intact segment header of this format. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.byteLength < SEGMENT_HEADER_BYTES || readU32(bytes, 60) !== crc32(bytes.subarray(0, 60)))
    return undefined;
  if (SEGMENT_MAGIC.compare(bytes, 0, 8) !== 0 || readU32(bytes, 8) !== SEGMENT_FORMAT) return undefined;
  return { id: readU32(bytes, 12), nonce: Uint8Array.prototype.slice.call(bytes, 16, 32) };
}

/** Makes the record headers of one segment in one reused buffer: no allocation per record. */
export class RecordHeaderEncoder {
  readonly #header = Buffer.alloc(RECORD_HEADER_BYTES);
  readonly #summed = this.#header.subarray(0, RECORD_CRC_AT);

  setNonce(nonce: Uint8Array): void {
    this.#header.set(nonce, 0);
  }

  /** Valid until the next call. */
  encode(kind: RecordKind, payloadBytes: number): Buffer {
    writeU32(this.#header, kind, 16);
    writeU32(this.#header, payloadBytes, 20);
    writeU32(this.#header, crc32(this.#summed), RECORD_CRC_AT);
    return this.#header;
  }
}

/** Kind and size of the record at `at`; undefined when its header is not intact or not this segment's. */
export function decodeRecordHeader(
  bytes: Uint8Array,
  at: number,
  nonce: Uint8Array,
): { kind: number; payloadBytes: number } | undefined {
  if (bytes.byteLength - at < RECORD_HEADER_BYTES) return undefined;
  if (readU32(bytes, at + RECORD_CRC_AT) !== crc32(bytes.subarray(at, at + RECORD_CRC_AT))) return undefined;
  if (Buffer.compare(bytes.subarray(at, at + NONCE_BYTES), nonce) !== 0) return undefined;
  return { kind: readU32(bytes, at + 16), payloadBytes: readU32(bytes, at + 20) };
}

/** digest (32) | size (u48) | encoder (u16) | subtree (32): a layer row beside the content, so that it survives a rebuild. */
export function encodeLayerPayload(row: LayerRow): Buffer {
  const bytes = Buffer.alloc(LAYER_PAYLOAD_BYTES);
  bytes.set(digestBytes(row.digest), 0);
  writeU48(bytes, row.size, 32);
  writeU16(bytes, row.encoder, 38);
  bytes.set(digestBytes(row.subtree), 40);
  return bytes;
}

/** undefined when the payload is not that of a layer record. */
export function decodeLayerPayload(bytes: Uint8Array): LayerRow | undefined {
  if (bytes.byteLength !== LAYER_PAYLOAD_BYTES) return undefined;
  return {
    digest: digestFromBytes(bytes.subarray(0, 32)) as Digest,
    size: readU48(bytes, 32),
    encoder: readU16(bytes, 38),
    subtree: digestFromBytes(bytes.subarray(40, 72)),
  };
}
