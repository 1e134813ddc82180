/** Longer than any honest pull; a stream that its owner forgot must not hold up GC for ever. */
const READ_LIFE_MS = 24 * 3_600_000;

interface Read {
  readonly epoch: number;
  readonly beganMs: number;
}

/** Reads of this thread that may look up more content: GC deletes nothing that was still there when they began. */
export class ActiveReads {
  readonly #reads = new Set<Read>();

  /** @param epoch that of the snapshot with which the read begins; the answer ends it, twice is once */
  begin(epoch: number): () => void {
    const read = { epoch, beganMs: performance.now() };
    this.#reads.add(read);
    return () => this.#reads.delete(read);
  }

  async during<T>(epoch: number, read: () => Promise<T>): Promise<T> {
    const end = this.begin(epoch);
    try {
      return await read();
    } finally {
      end();
    }
  }

  /** Epoch under which the oldest read began; Infinity when there is none. */
  oldestEpoch(): number {
    const since = performance.now() - READ_LIFE_MS;
    let oldest = Number.POSITIVE_INFINITY;
    for (const { epoch, beganMs } of this.#reads) if (beganMs > since) oldest = Math.min(oldest, epoch);
    return oldest;
  }
}
