import { closeSync, openSync, readSync } from "node:fs";
import { GranaryError } from "../proto/errors.ts";

/** 256 KiB: larger pieces leave the cache before they are hashed. */
const WINDOW_BYTES = 256 * 1024;

/** A file from its beginning to its end, in pieces of any asked length, through one reused window. */
export class StreamReader {
  readonly #fd: number;
  readonly #window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  #start = 0;
  #end = 0;

  /** @param path undefined: an empty stream */
  constructor(path: string | undefined) {
    this.#fd = path === undefined ? -1 : openSync(path, "r");
  }

  /** The next `bytes` in pieces, each valid until the next one is asked for. @throws GranaryError UPLOAD_OFFSET at the end */
  *next(bytes: number): Generator<Buffer, void, undefined> {
    for (let left = bytes; left > 0; ) {
      if (this.#start === this.#end) this.#fill();
      const piece = this.#window.subarray(this.#start, Math.min(this.#end, this.#start + left));
      this.#start += piece.byteLength;
      left -= piece.byteLength;
      yield piece;
    }
  }

  /** Whether nothing is left. */
  ended(): boolean {
    return this.#start === this.#end && this.#read() === 0;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
  }

  #fill(): void {
    if (this.#read() === 0)
      throw new GranaryError("UPLOAD_OFFSET", "the stream ends before the listing does");
  }

  #read(): number {
    this.#start = 0;
    this.#end = this.#fd < 0 ? 0 : readSync(this.#fd, this.#window, 0, WINDOW_BYTES, null);
    return this.#end;
  }
}
