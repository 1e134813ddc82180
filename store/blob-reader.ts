import { hash } from "node:crypto";
import fs from "node:fs";
import { type Digest, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { ifPresent, readFullySync, type StoreFs } from "./fs.ts";
import type { BlobRow } from "./index-rows.ts";
import { RECORD_HEADER_BYTES } from "./pack-format.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

const OPEN_SEGMENTS = 32;

/** Whole blobs, read synchronously and verified: what threads use. Keeps a few segments open. */
export class BlobReader {
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  readonly #open = new Map<number, number>();

  constructor(options: { paths: StorePaths; fs: StoreFs }) {
    this.#paths = options.paths;
    this.#fs = options.fs;
  }

  /** @throws GranaryError STORE_CORRUPT when the bytes are not those of the digest */
  read(digest: Digest, row: BlobRow): Buffer {
    const bytes = row.kind === "packed" ? this.#readPacked(digest, row) : this.#readBig(digest, row.size);
    if (hash("sha256", bytes, "hex") !== digestHex(digest))
      throw corrupt(digest, "its content has another sha256");
    return bytes;
  }

  /**
   * The segment's descriptor for reads in the caller's own way, valid until the next call.
   * @throws GranaryError STORE_CORRUPT naming `digest` when the segment is missing
   */
  openSegment(digest: Digest, id: number): number {
    return this.#segment(digest, id);
  }

  close(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
  }

  #readPacked(digest: Digest, row: { segment: number; offset: number; size: number }): Buffer {
    const bytes = Buffer.allocUnsafeSlow(row.size);
    const fd = this.#segment(digest, row.segment);
    const got = this.#fs.run("segment.read", segmentName(row.segment), () =>
      readFullySync(fd, bytes, row.offset + RECORD_HEADER_BYTES),
    );
    if (got !== row.size) throw corrupt(digest, `${segmentName(row.segment)} ends inside it`);
    return bytes;
  }

  #readBig(digest: Digest, size: number): Buffer {
    const path = this.#paths.bigFile(digest);
    return this.#fs.run("big.read", digest, () => {
      const fd = ifPresent(() => fs.openSync(path, "r"));
      if (fd === undefined) throw corrupt(digest, "its file is missing");
      try {
        const bytes = Buffer.allocUnsafeSlow(size);
        if (fs.fstatSync(fd).size !== size || readFullySync(fd, bytes, 0) !== size)
          throw corrupt(digest, "its file has another size");
        return bytes;
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  #segment(digest: Digest, id: number): number {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const fd = this.#fs.run("segment.open", segmentName(id), () =>
      ifPresent(() => fs.openSync(this.#paths.segment(id), "r")),
    );
    if (fd === undefined) throw corrupt(digest, `${segmentName(id)} is missing`);
    for (const [oldest, oldFd] of this.#open) {
      if (this.#open.size < OPEN_SEGMENTS) break;
      fs.closeSync(oldFd);
      this.#open.delete(oldest);
    }
    this.#open.set(id, fd);
    return fd;
  }
}

/** The error for content that cannot be trusted; `detail.digest` names it. */
export function corrupt(digest: Digest, why: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `${digest}: ${why}`, { digest });
}
