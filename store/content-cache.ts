import type { Digest } from "../proto/digest.ts";

/** What a thread keeps: the small contents of a common node_modules. Touched only as far as it is filled. */
const CACHE_BYTES = 32 * 1024 * 1024;
/** Each costs about 200 bytes of heap beside its content. */
const CACHE_ENTRIES = 50_000;
/** Larger ones cost little more than their hash to read again. */
const ENTRY_BYTES = 256 * 1024;

interface Entry {
  readonly digest: Digest;
  readonly start: number;
  readonly size: number;
}

/**
 * Contents that this thread has read or written lately, by digest: what is published again and again is hashed into layers without
 * a read each (5 us and more). One ring; what is oldest goes first, and one task brings at most a ring full, so that a huge
 * tree does not push out what it has brought itself. It says nothing about what the store has.
 */
export class ContentCache {
  readonly #entries = new Map<Digest, Entry>();
  /** Oldest first, from `#oldest` on. */
  #order: Entry[] = [];
  #oldest = 0;
  #ring: Buffer | undefined;
  #end = 0;
  #taskBytes = 0;
  #taskEntries = 0;

  beginTask(): void {
    this.#taskBytes = 0;
    this.#taskEntries = 0;
  }

  /** Copies a content to `into[at]`; answers whether it was there. */
  copy(digest: Digest, size: number, into: Uint8Array, at: number): boolean {
    const entry = this.#entries.get(digest);
    if (entry === undefined || entry.size !== size) return false;
    this.#ring?.copy(into, at, entry.start, entry.start + size);
    return true;
  }

  add(digest: Digest, content: Uint8Array): void {
    const size = content.byteLength;
    if (size === 0 || size > ENTRY_BYTES || this.#entries.has(digest)) return;
    if (this.#taskBytes + size > CACHE_BYTES - ENTRY_BYTES || this.#taskEntries >= CACHE_ENTRIES) return;
    this.#ring ??= Buffer.allocUnsafeSlow(CACHE_BYTES);
    this.#taskBytes += size;
    this.#taskEntries += 1;
    const start = this.#makeRoom(size);
    this.#ring.set(content, start);
    const entry = { digest, start, size };
    this.#entries.set(digest, entry);
    this.#order.push(entry);
    this.#end = start + size;
  }

  /** Where the next `size` bytes go, once what lies there is forgotten. */
  #makeRoom(size: number): number {
    const wraps = this.#end + size > CACHE_BYTES;
    const start = wraps ? 0 : this.#end;
    for (let oldest = this.#order[this.#oldest]; oldest !== undefined; oldest = this.#order[this.#oldest]) {
      // Behind the end lie the oldest ones, up to the ring's own end; then those from its beginning on.
      const inTheWay =
        oldest.start >= this.#end ? wraps || oldest.start < start + size : wraps && oldest.start < size;
      if (!inTheWay && this.#entries.size < CACHE_ENTRIES) break;
      this.#entries.delete(oldest.digest);
      this.#oldest += 1;
    }
    if (this.#oldest > CACHE_ENTRIES) {
      this.#order = this.#order.slice(this.#oldest);
      this.#oldest = 0;
    }
    return start;
  }
}
