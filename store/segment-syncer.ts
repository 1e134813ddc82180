import fs from "node:fs";
import { GranaryError } from "../proto/errors.ts";
import { ifPresent, readFullySync, type StoreFs } from "./fs.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

/** A pool has a segment per thread; a few more cover rotation. */
const OPEN_SEGMENTS = 64;

interface OpenSegment {
  readonly fd: number;
  readonly nonce: Uint8Array;
}

/** The committer's view of segments that threads append to: checks their headers once and syncs them. */
export class SegmentSyncer {
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  readonly #open = new Map<number, OpenSegment>();

  constructor(options: { paths: StorePaths; fs: StoreFs }) {
    this.#paths = options.paths;
    this.#fs = options.fs;
  }

  /**
   * The segment's nonce, after checking that it exists, has its header and reaches to `end`.
   * @throws GranaryError STORE_CORRUPT
   */
  check(id: number, end: number): Uint8Array {
    const { fd, nonce } = this.#segment(id);
    const { size } = this.#fs.run("segment.read", segmentName(id), () => fs.fstatSync(fd));
    if (size < end) throw broken(id, `it has ${size} bytes, ${end} were appended`);
    return nonce;
  }

  /** Makes the segment's bytes durable. A failure here is final: what is on disk is unknown from then on. */
  sync(id: number): void {
    const { fd } = this.#segment(id);
    this.#fs.run("segment.sync", segmentName(id), () => fs.fdatasyncSync(fd));
  }

  /** Closes a segment that is about to go. */
  forget(id: number): void {
    const segment = this.#open.get(id);
    if (segment !== undefined) fs.closeSync(segment.fd);
    this.#open.delete(id);
  }

  close(): void {
    for (const { fd } of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
  }

  #segment(id: number): OpenSegment {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const name = segmentName(id);
    const fd = this.#fs.run("segment.open", name, () =>
      ifPresent(() => fs.openSync(this.#paths.segment(id), "r")),
    );
    if (fd === undefined) throw broken(id, "it is missing");
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    this.#fs.run("segment.read", name, () => readFullySync(fd, bytes, 0));
    const header = decodeSegmentHeader(bytes);
    if (header?.id !== id) {
      fs.closeSync(fd);
      throw broken(id, "its header is not intact");
    }
    for (const [oldest, segment] of this.#open) {
      if (this.#open.size < OPEN_SEGMENTS) break;
      fs.closeSync(segment.fd);
      this.#open.delete(oldest);
    }
    const opened = { fd, nonce: header.nonce };
    this.#open.set(id, opened);
    return opened;
  }
}

function broken(id: number, why: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `segment ${segmentName(id)}: ${why}`, {
    segment: segmentName(id),
  });
}
