import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { ByteSource } from "./byte-source.ts";

/** One read of the source: large enough that a read costs nothing beside inflating it, small enough for any thread. */
const BUFFER_BYTES = 64 * 1024;

/** The compressed side of an archive: a cursor over a reused buffer that counts what it took and refuses too much. */
export class GzipInput {
  readonly #source: ByteSource;
  readonly #limits: ArchiveLimits;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #at = 0;
  #end = 0;
  #readBytes = 0;

  constructor(source: ByteSource, limits: ArchiveLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  /** Compressed bytes consumed so far. */
  get consumedBytes(): number {
    return this.#readBytes - (this.#end - this.#at);
  }

  /** Makes at least one byte available unless the source is at its end. @throws GranaryError ARCHIVE_UPLOAD_TOO_LARGE */
  fill(): boolean {
    if (this.#at < this.#end) return true;
    this.#at = 0;
    this.#end = this.#source.read(this.#buffer);
    this.#readBytes += this.#end;
    const limit = this.#limits.uploadBytes;
    if (this.#readBytes > limit) {
      throw new GranaryError(
        "ARCHIVE_UPLOAD_TOO_LARGE",
        `the archive has more than ${limit} compressed bytes`,
        {
          actual: this.#readBytes,
          limit,
        },
      );
    }
    return this.#end > 0;
  }

  /** The next byte, or -1 at the end. */
  byte(): number {
    if (this.#at === this.#end && !this.fill()) return -1;
    const value = this.#buffer[this.#at] ?? -1;
    this.#at += 1;
    return value;
  }

  /** A view of up to `max` available bytes; it is valid until the next {@link fill}, and consumes nothing. */
  peek(max: number): Buffer {
    return this.#buffer.subarray(this.#at, Math.min(this.#end, this.#at + max));
  }

  skip(count: number): void {
    this.#at += count;
  }
}
