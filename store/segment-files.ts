import fs from "node:fs";
import { errnoOf, readFully, type StoreFs } from "./fs.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

/** Segments of 256 MiB: what a node reads from at one time. */
const OPEN_SEGMENTS = 128;

interface OpenSegment {
  readonly fd: Promise<number>;
  /** Readers at work: it is not closed, and GC does not unlink it, before they are done. */
  pins: number;
}

/** Reads from segments off the event loop, keeping the files open and pinned while somebody reads. */
export class SegmentFiles {
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  readonly #open = new Map<number, OpenSegment>();

  constructor(options: { paths: StorePaths; fs: StoreFs }) {
    this.#paths = options.paths;
    this.#fs = options.fs;
  }

  /** Readers of the segment at this moment. */
  pins(id: number): number {
    return this.#open.get(id)?.pins ?? 0;
  }

  /**
   * The bytes from `start` to `end`, fewer when the segment ends before; undefined when there is no such segment.
   * @throws GranaryError STORE_IO
   */
  async read(id: number, start: number, end: number): Promise<Buffer | undefined> {
    const segment = this.#pin(id);
    try {
      const fd = await segment.fd;
      const bytes = Buffer.allocUnsafeSlow(end - start);
      const got = await this.#fs.runAsync("segment.read", segmentName(id), () => readFully(fd, bytes, start));
      return bytes.subarray(0, got);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    } finally {
      segment.pins -= 1;
    }
  }

  /** Closes a segment that is gone, once nobody reads from it. */
  forget(id: number): void {
    const segment = this.#open.get(id);
    if (segment !== undefined && segment.pins === 0) void this.#drop(id, segment);
  }

  async close(): Promise<void> {
    for (const [id, segment] of this.#open) await this.#drop(id, segment);
  }

  #pin(id: number): OpenSegment {
    const known = this.#open.get(id);
    if (known !== undefined) {
      known.pins += 1;
      this.#open.delete(id);
      this.#open.set(id, known);
      return known;
    }
    const segment: OpenSegment = { fd: this.#openFile(id), pins: 1 };
    this.#open.set(id, segment);
    segment.fd.catch(() => this.#open.delete(id));
    this.#evict();
    return segment;
  }

  #openFile(id: number): Promise<number> {
    return this.#fs.runAsync("segment.open", segmentName(id), () => {
      return new Promise((resolve, reject) => {
        fs.open(this.#paths.segment(id), "r", (error, fd) => (error ? reject(error) : resolve(fd)));
      });
    });
  }

  #evict(): void {
    if (this.#open.size <= OPEN_SEGMENTS) return;
    for (const [id, segment] of this.#open) {
      if (segment.pins > 0) continue;
      void this.#drop(id, segment);
      return;
    }
  }

  async #drop(id: number, segment: OpenSegment): Promise<void> {
    this.#open.delete(id);
    const fd = await segment.fd.catch(() => undefined);
    if (fd !== undefined) fs.closeSync(fd);
  }
}
