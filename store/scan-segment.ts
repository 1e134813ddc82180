import fs from "node:fs";
import { LIMITS } from "../proto/limits.ts";
import { readFullySync } from "./fs.ts";
import {
  decodeRecordHeader,
  decodeSegmentHeader,
  NONCE_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from "./pack-format.ts";

/** Whole record bytes; valid until the next one is taken. */
export interface ScannedRecord {
  readonly kind: number;
  readonly offset: number;
  readonly payloadBytes: number;
  readonly record: Buffer;
}

export interface SegmentScan {
  readonly id: number;
  readonly nonce: Uint8Array;
  readonly sizeBytes: number;
  /** The segment's own header is damaged; its nonce comes from the first record, which lies at a known place. */
  readonly headerDamaged: boolean;
  readonly records: Generator<ScannedRecord, number, undefined>;
}

/**
 * Walks a segment by lengths, from its header on; never searches for magic, so that content which looks like records is only ever
 * content. Answers undefined when neither the segment's header nor that of its first record is intact: without the nonce nothing in
 * it can be told apart.
 *
 * `records` ends, and answers the offset, where a record header is not intact (that is also the end of a torn tail) or a record
 * reaches beyond the file. A record whose header is intact but whose content is not is still handed out: its length is vouched for
 * by the header's own crc and nonce, and whatever follows has to prove itself by both again.
 */
export function scanSegment(fd: number, id: number): SegmentScan | undefined {
  const sizeBytes = fs.fstatSync(fd).size;
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES);
  readFullySync(fd, bytes, 0);
  const header = decodeSegmentHeader(bytes);
  const headerDamaged = header?.id !== id;
  const nonce = headerDamaged ? nonceOfRecord(bytes.subarray(SEGMENT_HEADER_BYTES)) : header.nonce;
  if (nonce === undefined) return undefined;
  return { id, nonce, sizeBytes, headerDamaged, records: scanRecords({ fd, sizeBytes, nonce }) };
}

/** The nonce in a record header whose crc fits. */
function nonceOfRecord(bytes: Buffer): Buffer | undefined {
  const nonce = Buffer.from(bytes.subarray(0, NONCE_BYTES));
  return decodeRecordHeader(bytes, 0, nonce) === undefined ? undefined : nonce;
}

function* scanRecords(segment: {
  fd: number;
  sizeBytes: number;
  nonce: Uint8Array;
}): Generator<ScannedRecord, number, undefined> {
  const window = new Window(segment.fd);
  let offset = SEGMENT_HEADER_BYTES;
  for (;;) {
    const header = decodeRecordHeader(window.view(offset, RECORD_HEADER_BYTES), 0, segment.nonce);
    if (header === undefined || header.payloadBytes > LIMITS.packedBlobBytes) return offset;
    const recordBytes = header.payloadBytes + RECORD_OVERHEAD_BYTES;
    if (offset + recordBytes > segment.sizeBytes) return offset;
    yield {
      kind: header.kind,
      offset,
      payloadBytes: header.payloadBytes,
      record: window.view(offset, recordBytes),
    };
    offset += recordBytes;
  }
}

/** Reads a file through one buffer: a record costs no system call unless it crosses the buffer's end. */
class Window {
  readonly #fd: number;
  #buffer = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
  #start = 0;
  #filled = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Fewer bytes than asked for at the end of the file. */
  view(offset: number, bytes: number): Buffer {
    if (offset < this.#start || offset + bytes > this.#start + this.#filled) {
      if (bytes > this.#buffer.byteLength) this.#buffer = Buffer.allocUnsafeSlow(bytes);
      this.#start = offset;
      this.#filled = readFullySync(this.#fd, this.#buffer, offset);
    }
    const at = offset - this.#start;
    return this.#buffer.subarray(at, Math.min(at + bytes, this.#filled));
  }
}
