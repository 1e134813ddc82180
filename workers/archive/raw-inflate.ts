import { InflateRaw } from "minizlib";

/**
 * Compressed bytes given to zlib at once. One step can yield 1032 times as much before anyone can look, so this bounds what a
 * bomb makes us hold: 16.9 MB. Steps of 4 KiB read 50 MB of JavaScript packages at 521 MB/s, 8 KiB at 554, 16 KiB at 581;
 * 32 KiB would reach 628 and 33.8 MB.
 */
const STEP_BYTES_MAX = 16 * 1024;
const STEP_BYTES_MIN = 256;
/** One window of output: what a step of 16 KiB yields mostly fits into one, so that it is one buffer less for each (2 % of the time, 30 % of the garbage). */
const WINDOW_BYTES = 256 * 1024;
/** Output wanted from one step: the step shrinks when more came, so a run of zeros holds 256 KiB, not 16.9 MB. */
const YIELD_BYTES = 256 * 1024;

/**
 * Raw deflate (RFC 1951), synchronous and in small steps, through minizlib (ruling 16). zlib in the same loop by a
 * private handle of Node's is 10 % faster (646 MB/s against 581); `zlib.inflateRawSync` cannot
 * stream, so a 2 GiB archive would need 2 GiB.
 */
export class RawInflate {
  readonly #engine: InflateRaw;
  readonly #windows: Buffer[] = [];
  #failure: unknown;
  #stepBytes = STEP_BYTES_MAX;

  constructor() {
    const options = { flush: 0, chunkSize: WINDOW_BYTES };
    this.#engine = new InflateRaw(options);
    this.#engine.on("data", (window: Buffer) => this.#windows.push(window));
    this.#engine.on("error", (error: unknown) => {
      this.#failure = error;
    });
  }

  /** How much input the next {@link step} should get at most. */
  get stepBytes(): number {
    return this.#stepBytes;
  }

  /**
   * Inflates `input`, which is not empty. Answers how many bytes of it belong to the stream: fewer than given only when the
   * stream ended there; a stream that ends exactly behind `input` shows by taking nothing of the next one.
   * `windows` is reused: take from it before the next step.
   * @throws zlib's error on damaged data
   */
  step(input: Buffer): { readonly consumedBytes: number; readonly windows: readonly Buffer[] } {
    this.#windows.length = 0;
    this.#engine.write(input);
    if (this.#failure !== undefined) throw this.#failure;
    let bytes = 0;
    for (const window of this.#windows) bytes += window.length;
    if (bytes > 2 * YIELD_BYTES) {
      this.#stepBytes = Math.max(STEP_BYTES_MIN, Math.floor((input.length * YIELD_BYTES) / bytes));
    } else if (bytes < YIELD_BYTES && this.#stepBytes < STEP_BYTES_MAX) {
      this.#stepBytes = Math.min(STEP_BYTES_MAX, this.#stepBytes * 2);
    }
    return { consumedBytes: this.#engine.handle?.bytesWritten ?? 0, windows: this.#windows };
  }

  /** Begins the next stream. */
  reset(): void {
    this.#engine.reset();
  }

  close(): void {
    this.#engine.close();
  }
}
