import { type Cursor, formatCursor, parseCursor } from "../../proto/events.ts";
import type { StateWriter } from "../shared/state-db.ts";

export type CursorName = "jobs-cursor" | "events-cursor";

/** What was relayed last: its place in the state, and in the stream it went to. */
export interface Relayed {
  readonly cursor: Cursor;
  readonly streamSeq: number;
}

/**
 * How far this copy's relays have come. Kept beside the replicated state and written with the next group of commands, or
 * after a pause: a lost second is relayed again, which jobs (message ids) and events (expected sequence) survive.
 */
export class LocalCursors {
  readonly #writer: StateWriter;
  #unwritten = new Map<string, string>();

  constructor(writer: StateWriter) {
    this.#writer = writer;
  }

  get(name: CursorName): Relayed | undefined {
    const text = this.#unwritten.get(name) ?? this.#writer.readLocal(name);
    if (text === undefined) return undefined;
    // Earlier versions wrote the cursor alone.
    const [cursor = "", streamSeq = "0"] = text.split("@");
    return { cursor: parseCursor(cursor), streamSeq: Number(streamSeq) };
  }

  set(name: CursorName, { cursor, streamSeq }: Relayed): void {
    this.#unwritten.set(name, `${formatCursor(cursor)}@${streamSeq}`);
  }

  /** What the next transaction has to write; it is taken as written. */
  take(): ReadonlyMap<string, string> {
    const rows = this.#unwritten;
    this.#unwritten = new Map();
    return rows;
  }

  flush(): void {
    if (this.#unwritten.size === 0) return;
    const rows = this.take();
    this.#writer.transact((_, local) => {
      for (const [key, value] of rows) local.put(key, value);
    });
  }
}
