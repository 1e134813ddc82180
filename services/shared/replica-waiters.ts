/** Who waits until a position of the log is applied. */
export class SeqWaiters {
  readonly #waiting = new Set<{ readonly seq: number; finish(reached: boolean): void }>();

  /** Answers true when `seq` is reached, false after `timeoutMs` or when closed. */
  wait(seq: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiter = {
        seq,
        finish: (reached: boolean) => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          resolve(reached);
        },
      };
      const timer = setTimeout(() => waiter.finish(false), timeoutMs);
      this.#waiting.add(waiter);
    });
  }

  reached(seq: number): void {
    for (const waiter of this.#waiting) if (waiter.seq <= seq) waiter.finish(true);
  }

  close(): void {
    for (const waiter of this.#waiting) waiter.finish(false);
  }
}
