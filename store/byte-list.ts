/** A growing run of bytes that is reused from task to task; `take` copies what is there into a buffer of its own. */
export class ByteList {
  #bytes: Buffer;
  #length = 0;

  constructor(capacityBytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room for `count` bytes; answers the buffer to write into and where. Valid until the next call. */
  extend(count: number): { bytes: Buffer; at: number } {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, at + count));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#length = at + count;
    return { bytes: this.#bytes, at };
  }

  view(start: number, end: number): Buffer {
    return this.#bytes.subarray(start, end);
  }

  take(): Uint8Array {
    const copy = new Uint8Array(this.#length);
    copy.set(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return copy;
  }

  clear(): void {
    this.#length = 0;
  }
}
