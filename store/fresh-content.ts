import type { Digest } from "../proto/digest.ts";

/** Per thread: the small contents of a common node_modules. Touched only as far as it is filled. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Each costs about 200 bytes of heap beside its content. */
const KEPT_ENTRIES = 50_000;
/** Larger ones cost little more than their hash to read again. */
const ENTRY_BYTES = 256 * 1024;

/**
 * New contents that a task has just appended, as far as they fit: they are hashed into layers next, and reading each back is a
 * buffer and a read. Content of the index is never here: hashing it into a layer is also what finds it damaged.
 */
export class FreshContent {
  readonly #places = new Map<Digest, { readonly start: number; readonly size: number }>();
  #buffer: Buffer | undefined;
  #end = 0;

  /** Another task begins: what was new is content of the index now. */
  clear(): void {
    this.#places.clear();
    this.#end = 0;
  }

  add(digest: Digest, content: Uint8Array): void {
    const size = content.byteLength;
    if (size > ENTRY_BYTES || this.#end + size > KEPT_BYTES || this.#places.size >= KEPT_ENTRIES) return;
    this.#buffer ??= Buffer.allocUnsafeSlow(KEPT_BYTES);
    this.#buffer.set(content, this.#end);
    this.#places.set(digest, { start: this.#end, size });
    this.#end += size;
  }

  /** Copies a content to `into[at]`; answers whether it was there. */
  copy(digest: Digest, size: number, into: Uint8Array, at: number): boolean {
    const place = this.#places.get(digest);
    if (place === undefined || place.size !== size) return false;
    this.#buffer?.copy(into, at, place.start, place.start + size);
    return true;
  }
}
