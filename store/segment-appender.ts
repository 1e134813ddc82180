import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { crc32 } from "node:zlib";
import { LIMITS } from "../proto/limits.ts";
import { readFullySync, type StoreFs, writeAllSync } from "./fs.ts";
import { writeU32 } from "./little-endian.ts";
import {
  encodeSegmentHeader,
  NONCE_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  RECORD_TRAILER_BYTES,
  RecordHeaderEncoder,
  type RecordKind,
  SEGMENT_HEADER_BYTES,
} from "./pack-format.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

/** Records are collected up to here before they are written: one write per MiB instead of one per file (20 us). */
const BUFFER_BYTES = 1024 * 1024;

/**
 * The one segment that a thread appends to. Opened when something is first appended, replaced between tasks once it is full.
 * Never fsyncs: the committer does. Nobody else writes to the file.
 */
export class SegmentAppender {
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  readonly #ids: Int32Array;
  readonly #maxBytes: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #header = new RecordHeaderEncoder();
  #buffered = 0;
  /** File offset of the buffer's first byte. */
  #flushed = 0;
  #fd: number | undefined;
  #id = 0;
  /** A write has failed half-way: bytes may lie behind `#flushed`. */
  #torn = false;

  /** @param options.maxBytes where a segment is full; {@link LIMITS.segmentBytes} unless it is said */
  constructor(options: { paths: StorePaths; fs: StoreFs; segmentIds: SharedArrayBuffer; maxBytes?: number }) {
    this.#maxBytes = options.maxBytes ?? LIMITS.segmentBytes;
    this.#paths = options.paths;
    this.#fs = options.fs;
    this.#ids = new Int32Array(options.segmentIds);
  }

  /** Id of the open segment; 0 when none is open. */
  get id(): number {
    return this.#id;
  }

  /** Offset behind the last record. */
  get end(): number {
    return this.#flushed + this.#buffered;
  }

  /** Between tasks: lets go of a segment that has grown past its limit. */
  rotateIfFull(): void {
    if (this.#fd !== undefined && this.end >= this.#maxBytes) this.close();
  }

  /** Opens a segment under the next free id. */
  open(): void {
    const id = Atomics.add(this.#ids, 0, 1);
    this.#fd = this.#fs.run("segment.open", segmentName(id), () =>
      fs.openSync(this.#paths.segment(id), "wx+", 0o600),
    );
    this.#id = id;
    const nonce = randomBytes(NONCE_BYTES);
    this.#header.setNonce(nonce);
    this.#buffer.set(encodeSegmentHeader({ id, nonce }), 0);
    this.#buffered = SEGMENT_HEADER_BYTES;
    this.#flushed = 0;
  }

  /**
   * Appends a record and answers its offset. The digest is the sha256 of the payload, 32 bytes at `digest.at`.
   * @throws GranaryError STORE_FULL, STORE_IO
   */
  append(kind: RecordKind, payload: Uint8Array, digest: { bytes: Uint8Array; at: number }): number {
    const payloadBytes = payload.byteLength;
    const direct = payloadBytes + RECORD_OVERHEAD_BYTES > BUFFER_BYTES;
    if (this.#buffered + (direct ? RECORD_HEADER_BYTES : payloadBytes + RECORD_OVERHEAD_BYTES) > BUFFER_BYTES)
      this.flush();
    const offset = this.end;
    this.#buffer.set(this.#header.encode(kind, payloadBytes), this.#buffered);
    this.#buffered += RECORD_HEADER_BYTES;
    if (direct) {
      this.flush();
      this.#write(payload);
      this.#flushed += payloadBytes;
    } else {
      this.#buffer.set(payload, this.#buffered);
      this.#buffered += payloadBytes;
    }
    for (let i = 0; i < 32; i++) this.#buffer[this.#buffered + i] = digest.bytes[digest.at + i] ?? 0;
    writeU32(this.#buffer, crc32(payload), this.#buffered + 32);
    this.#buffered += RECORD_TRAILER_BYTES;
    return offset;
  }

  /** Hands what is collected to the operating system. */
  flush(): void {
    if (this.#buffered === 0) return;
    this.#write(this.#buffer.subarray(0, this.#buffered));
    this.#flushed += this.#buffered;
    this.#buffered = 0;
  }

  /** Reads from the open segment, also what was only just appended. */
  read(into: Uint8Array, offset: number): void {
    this.flush();
    const fd = this.#open();
    this.#fs.run("segment.read", segmentName(this.#id), () => readFullySync(fd, into, offset));
  }

  /** Takes back everything behind `offset`. When that fails, the segment is never appended to again. */
  truncate(offset: number): void {
    if (offset >= this.#flushed && !this.#torn) {
      this.#buffered = offset - this.#flushed;
      return;
    }
    const kept = Math.max(0, offset - this.#flushed);
    this.#buffered = kept;
    this.#flushed = offset - kept;
    const fd = this.#open();
    try {
      this.#fs.run("segment.truncate", segmentName(this.#id), () => fs.ftruncateSync(fd, this.#flushed));
      this.#torn = false;
    } catch {
      this.close();
    }
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
    this.#id = 0;
    this.#buffered = 0;
    this.#flushed = 0;
    this.#torn = false;
  }

  #write(bytes: Uint8Array): void {
    const fd = this.#open();
    this.#torn = true;
    this.#fs.run("segment.write", segmentName(this.#id), () => writeAllSync(fd, bytes, this.#flushed));
    this.#torn = false;
  }

  #open(): number {
    if (this.#fd === undefined) throw new RangeError("no segment is open");
    return this.#fd;
  }
}
