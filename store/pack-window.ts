import { crc32 } from "node:zlib";
import { readFullySync, type StoreFs } from "./fs.ts";
import { readU32 } from "./little-endian.ts";
import { RECORD_HEADER_BYTES, RECORD_TRAILER_BYTES } from "./pack-format.ts";
import { segmentName } from "./store-paths.ts";

const WINDOW_BYTES = 256 * 1024;
/** A record that begins this close behind the last one is taken for a run: what was published together lies together. */
const RUN_GAP_BYTES = 16 * 1024;

/** A record's place, and its digest as the 32 bytes at `key[1..33]`. */
export interface PlacedRecord {
  readonly segment: number;
  readonly offset: number;
  readonly size: number;
  readonly key: Uint8Array;
}

/**
 * Payloads of records that mostly follow one another, through one reused window: one read per 256 KiB instead of one a record.
 * A payload is checked against its record's trailer: the digest has to be the wanted one, the crc32 that of the bytes (0.2 ns a
 * byte, sha256 takes 0.7). Committed records do not change while a task runs, so a window is good for one task.
 */
export class PackWindow {
  readonly #fs: StoreFs;
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  #segment = 0;
  #start = 0;
  #end = 0;
  #lastEnd = 0;

  constructor(fs: StoreFs) {
    this.#fs = fs;
  }

  /** Forgets what was read: another task may have committed what was only a torn tail then. */
  reset(): void {
    this.#segment = 0;
    this.#start = this.#end = this.#lastEnd = 0;
  }

  /** Whether a record of this size fits. */
  takes(size: number): boolean {
    return size + RECORD_TRAILER_BYTES <= WINDOW_BYTES;
  }

  /**
   * Copies a payload to `into[at]`. Answers false when record or segment are not what was expected: then it has to be read and
   * verified by its sha256, which alone decides.
   * @throws GranaryError STORE_IO
   */
  copy(fd: number, record: PlacedRecord, into: Uint8Array, at: number): boolean {
    const from = record.offset + RECORD_HEADER_BYTES;
    const end = from + record.size + RECORD_TRAILER_BYTES;
    const held = record.segment === this.#segment && from >= this.#start && end <= this.#end;
    if (!held && !this.#read(fd, record.segment, from, end)) return false;
    this.#lastEnd = end;
    const payloadAt = from - this.#start;
    const trailerAt = payloadAt + record.size;
    const payload = this.#window.subarray(payloadAt, trailerAt);
    for (let i = 0; i < 32; i++) if (this.#window[trailerAt + i] !== record.key[1 + i]) return false;
    if (readU32(this.#window, trailerAt + 32) !== crc32(payload)) return false;
    this.#window.copy(into, at, payloadAt, trailerAt);
    return true;
  }

  /** Answers whether everything up to `end` is there. */
  #read(fd: number, segment: number, from: number, end: number): boolean {
    const gap = from - this.#lastEnd;
    const inRun = segment === this.#segment && gap >= 0 && gap <= RUN_GAP_BYTES;
    const wanted = this.#window.subarray(0, inRun ? WINDOW_BYTES : end - from);
    this.#segment = segment;
    this.#start = from;
    this.#end =
      from + this.#fs.run("segment.read", segmentName(segment), () => readFullySync(fd, wanted, from));
    return this.#end >= end;
  }
}
