import type { JsMsg } from "@nats-io/jetstream";

export interface StreamMessage {
  readonly seq: number;
  /** When the server stored it. */
  readonly timeMs: number;
  readonly data: Uint8Array;
}

/** Messages that are handed over at once, at most. */
export const BATCH_MAX = 256;

/** Gathers what has arrived until the event loop turns: one group, one transaction. */
export class BusInbox {
  onDelivered: (() => void) | undefined;
  readonly ended: Promise<never>;
  readonly #deliver: (batch: readonly StreamMessage[], lastSeq: number) => void;
  #end: (error: unknown) => void = () => undefined;
  #waiting: StreamMessage[] = [];
  #lastSeq: number;
  #scheduled = false;
  #over = false;

  constructor(options: {
    lastSeq: number;
    deliver: (batch: readonly StreamMessage[], lastSeq: number) => void;
  }) {
    this.#lastSeq = options.lastSeq;
    this.#deliver = options.deliver;
    this.ended = new Promise<never>((_, reject) => {
      this.#end = reject;
    });
    // Whoever made the inbox awaits `ended`; until then it may fail already.
    this.ended.catch(() => undefined);
  }

  get idle(): boolean {
    return this.#waiting.length === 0;
  }

  push(message: Pick<JsMsg, "seq" | "timestampNanos" | "data">): void {
    if (this.#over || message.seq <= this.#lastSeq) return;
    if (message.seq !== this.#lastSeq + 1) {
      this.end(new Error(`message ${message.seq} came after ${this.#lastSeq}`));
      return;
    }
    this.#lastSeq = message.seq;
    const timeMs = Number(message.timestampNanos / 1_000_000n);
    this.#waiting.push({ seq: message.seq, timeMs, data: message.data });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  end(error: unknown): void {
    this.#over = true;
    this.#end(error);
  }

  #flush(): void {
    this.#scheduled = false;
    const batch = this.#waiting.slice(0, BATCH_MAX);
    const last = batch.at(-1);
    if (this.#over || last === undefined) return;
    this.#waiting = this.#waiting.slice(BATCH_MAX);
    try {
      this.#deliver(batch, last.seq);
      this.onDelivered?.();
    } catch (error) {
      this.end(error);
      return;
    }
    if (this.#waiting.length > 0 && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    }
  }
}
