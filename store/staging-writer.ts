import { createHash, type Hash } from "node:crypto";
import fs from "node:fs";
import { crc32 } from "node:zlib";
import { LIMITS } from "../proto/limits.ts";
import { ifPresent, type StoreFs, writeAllSync } from "./fs.ts";
import { writeU32 } from "./little-endian.ts";
import type { StorePaths } from "./store-paths.ts";

/**
 * One big blob on its way into staging: hashed, summed per MiB and written while each MiB is still in cache. Durable only after
 * the committer has synced and renamed it.
 */
export class StagingWriter {
  readonly name: string;
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  /** Reused by all big files of a thread. */
  readonly #chunk: Buffer;
  readonly #hash: Hash = createHash("sha256");
  readonly #crcs: Buffer;
  readonly #fd: number;
  readonly #size: number;
  #filled = 0;
  #written = 0;
  #closed = false;

  /** @param options.chunk a buffer of {@link LIMITS.crcChunkBytes} that nothing else uses until `end` or `discard` */
  constructor(options: { name: string; size: number; paths: StorePaths; fs: StoreFs; chunk: Buffer }) {
    this.name = options.name;
    this.#size = options.size;
    this.#paths = options.paths;
    this.#fs = options.fs;
    this.#chunk = options.chunk;
    this.#crcs = Buffer.alloc(Math.ceil(options.size / LIMITS.crcChunkBytes) * 4);
    this.#fd = this.#fs.run("staging.open", this.name, () =>
      fs.openSync(this.#paths.staged(this.name), "wx", 0o600),
    );
  }

  write(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.byteLength) {
      const take = Math.min(bytes.byteLength - at, this.#chunk.byteLength - this.#filled);
      this.#chunk.set(bytes.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === this.#chunk.byteLength) this.#flush();
    }
  }

  /** Closes the complete file. @throws RangeError when the size is not the announced one */
  end(): { sha256: Buffer; crcs: Uint8Array } {
    if (this.#filled > 0) this.#flush();
    if (this.#written !== this.#size)
      throw new RangeError(`${this.#written} bytes were written, ${this.#size} announced`);
    this.#close();
    return { sha256: this.#hash.digest(), crcs: new Uint8Array(this.#crcs) };
  }

  /** The finished content. */
  readBack(): Buffer {
    return this.#fs.run("big.read", this.name, () => fs.readFileSync(this.#paths.staged(this.name)));
  }

  /** Removes the file, finished or not. */
  discard(): void {
    this.#close();
    this.#fs.run("staging.unlink", this.name, () =>
      ifPresent(() => fs.unlinkSync(this.#paths.staged(this.name))),
    );
  }

  #flush(): void {
    const bytes = this.#chunk.subarray(0, this.#filled);
    if (this.#written + bytes.byteLength > this.#size)
      throw new RangeError(`more than the announced ${this.#size} bytes`);
    this.#hash.update(bytes);
    writeU32(this.#crcs, crc32(bytes), (this.#written / LIMITS.crcChunkBytes) * 4);
    this.#fs.run("staging.write", this.name, () => writeAllSync(this.#fd, bytes, this.#written));
    this.#written += bytes.byteLength;
    this.#filled = 0;
  }

  #close(): void {
    if (!this.#closed) fs.closeSync(this.#fd);
    this.#closed = true;
  }
}
