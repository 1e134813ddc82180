import type { Log } from "../shared/log.ts";

/**
 * Closes parts in the reverse order of their start, each with a time limit, so that nothing is closed under what still uses it
 * and one part that hangs does not keep the rest from closing.
 */
export class Shutdown {
  readonly #steps: { name: string; close: () => Promise<void> | void }[] = [];
  readonly #log: Log;
  readonly #limitMs: number;

  constructor(options: { log: Log; limitMs: number }) {
    this.#log = options.log;
    this.#limitMs = options.limitMs;
  }

  /** To be closed before everything that was added earlier. */
  add(name: string, close: () => Promise<void> | void): void {
    this.#steps.push({ name, close });
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const { name, close } = step;
      try {
        await withLimit(Promise.resolve(close()), this.#limitMs, name);
      } catch (error) {
        this.#log.error({ part: name, err: error }, "a part did not close cleanly");
      }
    }
  }
}

async function withLimit(work: Promise<void>, limitMs: number, name: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} did not close within ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
