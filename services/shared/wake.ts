/** Lets a loop sleep until there is work: many calls of `wake` while it is busy are one. */
export class Wake {
  #pending = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#pending = true;
    this.#resolve?.();
  }

  /** Answers when woken, or after `timeoutMs`, or when aborted. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#pending && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        this.#resolve = done;
        signal.addEventListener("abort", done);
      });
      this.#resolve = undefined;
    }
    this.#pending = false;
  }
}
