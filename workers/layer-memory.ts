import type { Digest } from "../proto/digest.ts";
import { Lru } from "../store/lru.ts";
import type { HeldLayer } from "./held-layer.ts";

/** Of the images that one thread made last: a common node_modules, twice. */
export const HELD_LAYER_BYTES = 48 * 1024 * 1024;
/** Buffers of layers that were replaced, for the next: a publish replaces up to this much of a common node_modules. */
const SPARE_BYTES = 8 * 1024 * 1024;
/** Sizes of buffers are multiples of this, so that one often fits a layer that has grown. */
const STEP_BYTES = 64 * 1024;

/**
 * Layers by the digests of their listings. Buffers are used again: new ones for each publish are memory outside of V8's heap that makes it
 * collect all of its garbage every time (15 ms CPU a publish of 3,448 files).
 */
export class LayerMemory {
  readonly #layers = new Lru<Digest, HeldLayer>(HELD_LAYER_BYTES, ({ bytes }) => bytes.buffer.byteLength);
  #spare: Buffer[] = [];
  #spareBytes = 0;

  get(subtree: Digest): HeldLayer | undefined {
    return this.#layers.get(subtree);
  }

  /** Remembers a layer instead of the one that it was made from. */
  set(subtree: Digest, layer: HeldLayer, twin: Digest | undefined): void {
    const replaced = twin === undefined ? undefined : this.#layers.get(twin);
    if (twin !== undefined) this.#layers.delete(twin);
    this.#layers.set(subtree, layer);
    if (replaced !== undefined) this.giveBack(Buffer.from(replaced.bytes.buffer));
  }

  /** A buffer of at least that many bytes. */
  take(bytes: number): Buffer {
    const fitting = this.#spare.findIndex(
      ({ byteLength }) => byteLength >= bytes && byteLength <= 2 * bytes + STEP_BYTES,
    );
    const [spare] = fitting < 0 ? [] : this.#spare.splice(fitting, 1);
    if (spare === undefined) return Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    this.#spareBytes -= spare.byteLength;
    return spare;
  }

  /** Nobody uses it any more. */
  giveBack(buffer: Buffer): void {
    if (this.#spareBytes + buffer.byteLength > SPARE_BYTES) return;
    this.#spareBytes += buffer.byteLength;
    this.#spare.push(buffer);
    this.#spare.sort((a, b) => a.byteLength - b.byteLength);
  }
}
