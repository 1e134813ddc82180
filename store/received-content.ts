import { DigestTable } from "./digest-table.ts";

/** Per thread: a common node_modules. Touched only as far as it is filled. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** The rest is for contents that the index does not have: reading those back takes a buffer and a read each. */
const KNOWN_BYTES = 24 * 1024 * 1024;
const PLACE_NUMBERS = 2;

/**
 * Contents that a task has received, as far as they fit: they are collected here, hashed here, and many are hashed into a layer
 * next, without being read from the packs (3 us each where they lie scattered). That holds for what the index has too: these bytes have
 * the digest, whatever has become of those on disk, which is for scrub to find. Nothing is kept for the next task.
 */
export class ReceivedContent {
  readonly #table = new DigestTable();
  #places = new Int32Array(1024 * PLACE_NUMBERS);
  #count = 0;
  #buffer: Buffer | undefined;
  #end = 0;

  /** Another task begins. */
  clear(): void {
    this.#table.clear();
    this.#count = 0;
    this.#end = 0;
  }

  /** Where the next content may be collected; undefined when it does not fit. What is not kept is overwritten by the next one. */
  room(size: number): Buffer | undefined {
    if (this.#end + size > KEPT_BYTES) return undefined;
    this.#buffer ??= Buffer.allocUnsafeSlow(KEPT_BYTES);
    return this.#buffer.subarray(this.#end, this.#end + size);
  }

  /** Keeps what was written to the last {@link room} of this size; the digest are the 32 bytes at `key[1..33]`. */
  keep(key: Uint8Array, size: number, { isNew }: { isNew: boolean }): void {
    if ((!isNew && this.#end + size > KNOWN_BYTES) || this.#table.find(key, 1) !== undefined) return;
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

  /** A kept content of that size, valid until the task's end. */
  find(key: Uint8Array, size: number): Buffer | undefined {
    const number = this.#table.find(key, 1);
    if (number === undefined || this.#buffer === undefined) return undefined;
    const start = this.#places[number * PLACE_NUMBERS] ?? 0;
    if (this.#places[number * PLACE_NUMBERS + 1] !== size) return undefined;
    return this.#buffer.subarray(start, start + size);
  }
}
