import type { JsMsg } from "@nats-io/jetstream";

export interface StreamMessage {
  readonly seq: number;
  /** When the server stored it. */
  readonly timeMs: number;
  readonly data: Uint8Array;
}

/** Messages that are handed over at once, at most. */
export const BATCH_MAX = 256;

/**
 * A pause behind a group of more than one: what comes meanwhile shares a transaction, and one costs some thirty pages of the disk, whatever
 * it holds. Commands that come one by one never wait.
 */
const PAUSE_MS = 3;

/** `info.pending`: what the server has behind it. */
type Delivered = Pick<JsMsg, "seq" | "timestampNanos" | "data"> & {
  readonly info?: Pick<JsMsg["info"], "pending">;
};

/** Gathers what has arrived until the event loop turns: one group, one transaction. */
export class BusInbox {
  /** A group was handed over; `atHead`: next to nothing is behind it, here or at the server. */
  onDelivered: ((atHead: boolean) => void) | undefined;
  readonly ended: Promise<never>;
  readonly #deliver: (batch: readonly StreamMessage[], lastSeq: number) => void;
  #end: (error: unknown) => void = () => undefined;
  #waiting: StreamMessage[] = [];
  #lastSeq: number;
  #newest: Delivered | undefined;
  #scheduled = false;
  readonly #pauseMs: number;
  #pauseUntilMs = 0;
  #over = false;

  /** @param options.pauseMs for tests: 0 hands over at every turn */
  constructor(options: {
    lastSeq: number;
    pauseMs?: number;
    deliver: (batch: readonly StreamMessage[], lastSeq: number) => void;
  }) {
    this.#lastSeq = options.lastSeq;
    this.#deliver = options.deliver;
    this.#pauseMs = options.pauseMs ?? PAUSE_MS;
    this.ended = new Promise<never>((_, reject) => {
      this.#end = reject;
    });
    // Whoever made the inbox awaits `ended`; until then it may fail already.
    this.ended.catch(() => undefined);
  }

  get idle(): boolean {
    return this.#waiting.length === 0;
  }

  push(message: Delivered): void {
    if (this.#over || message.seq <= this.#lastSeq) return;
    if (message.seq !== this.#lastSeq + 1) {
      this.end(new Error(`message ${message.seq} came after ${this.#lastSeq}`));
      return;
    }
    this.#lastSeq = message.seq;
    this.#newest = message;
    const timeMs = Number(message.timestampNanos / 1_000_000n);
    this.#waiting.push({ seq: message.seq, timeMs, data: message.data });
    this.#schedule();
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
      this.onDelivered?.(this.idle && (this.#newest?.info?.pending ?? 0) <= BATCH_MAX);
    } catch (error) {
      this.end(error);
      return;
    }
    this.#pauseUntilMs = batch.length > 1 && batch.length < BATCH_MAX ? performance.now() + this.#pauseMs : 0;
    if (this.#waiting.length > 0) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const pauseMs = this.#pauseUntilMs - performance.now();
    if (pauseMs < 1) setImmediate(() => this.#flush());
    else setTimeout(() => this.#flush(), pauseMs);
  }
}
