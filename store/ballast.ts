import fs from "node:fs";
import { ifPresent } from "./fs.ts";

/** Of small disks: no more than this share of them. */
const DISK_SHARE = 0.02;
/** It comes back when the disk has this many times its size left. */
const ROOM = 8;

/**
 * A file of zeros that garbage collection gives back to a full disk: lmdb needs pages to say that content is gone, before any of it can be
 * deleted, and answers a disk without room with an error that ends all writing.
 */
export class Ballast {
  readonly #file: string;
  readonly #folder: string;
  readonly #bytes: number;

  /** @param options.bytes 0: none is kept */
  constructor(options: { file: string; folder: string; bytes: number }) {
    this.#file = options.file;
    this.#folder = options.folder;
    this.#bytes = options.bytes;
  }

  /** Gives it back where less than its size is left of the disk. */
  releaseIfTight(): void {
    if (this.#bytes > 0 && this.#free() < this.#bytes) fs.rmSync(this.#file, { force: true });
  }

  /** Takes it again where the disk has room; a disk that has none meanwhile is the next run's matter. */
  restore(): void {
    if (this.#bytes === 0 || this.#free() < ROOM * this.#bytes || fs.existsSync(this.#file)) return;
    const { blocks, bsize } = fs.statfsSync(this.#folder);
    const bytes = Math.min(this.#bytes, Math.floor(blocks * bsize * DISK_SHARE));
    try {
      // Zeros that are written: a hole would take no room.
      fs.writeFileSync(this.#file, Buffer.alloc(bytes), { mode: 0o600 });
    } catch {
      fs.rmSync(this.#file, { force: true });
    }
  }

  #free(): number {
    const stat = ifPresent(() => fs.statfsSync(this.#folder));
    return stat === undefined ? Number.POSITIVE_INFINITY : stat.bavail * stat.bsize;
  }
}
