import { DigestTable } from "./digest-table.ts";

const PLACE_NUMBERS = 2;

/** Contents that one task has in memory, as far as they fit: one buffer, and a table of what lies where in it. */
export class ContentArena {
  readonly #bytes: number;
  readonly #knownBytes: number;
  readonly #table = new DigestTable();
  #places = new Int32Array(1024 * PLACE_NUMBERS);
  #count = 0;
  #buffer: Buffer | undefined;
  #end = 0;

  /**
   * @param options.bytes its capacity, touched only as far as it is filled
   * @param options.knownBytes how far contents that are not new may fill it
   */
  constructor({ bytes, knownBytes = bytes }: { bytes: number; knownBytes?: number }) {
    this.#bytes = bytes;
    this.#knownBytes = knownBytes;
  }

  /** Forgets all. */
  clear(): void {
    this.#table.clear();
    this.#count = 0;
    this.#end = 0;
  }

  /** Where the next content may be collected; undefined when it does not fit. What is not kept is overwritten by the next one. */
  room(size: number): Buffer | undefined {
    if (this.#end + size > this.#bytes) return undefined;
    this.#buffer ??= Buffer.allocUnsafeSlow(this.#bytes);
    return this.#buffer.subarray(this.#end, this.#end + size);
  }

  /** Keeps what was written to the last {@link room} of this size; the digest are the 32 bytes at `key[1..33]`. */
  keep(key: Uint8Array, size: number, { isNew }: { isNew: boolean }): void {
    if ((!isNew && this.#end + size > this.#knownBytes) || this.#table.find(key, 1) !== undefined) return;
    const at = this.#count * PLACE_NUMBERS;
    if (at === this.#places.length) {
      const grown = new Int32Array(2 * at);
      grown.set(this.#places);
      this.#places = grown;
    }
    this.#places[at] = this.#end;
    this.#places[at + 1] = size;
    this.#table.add(key, 1, this.#count);
    this.#count += 1;
    this.#end += size;
  }

  /** A kept content of that size, valid until all is forgotten. */
  find(key: Uint8Array, size: number): Buffer | undefined {
    const number = this.#table.find(key, 1);
    if (number === undefined || this.#buffer === undefined) return undefined;
    const start = this.#places[number * PLACE_NUMBERS] ?? 0;
    if (this.#places[number * PLACE_NUMBERS + 1] !== size) return undefined;
    return this.#buffer.subarray(start, start + size);
  }
}
