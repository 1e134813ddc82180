import type { CloudEvent } from "../../proto/events.ts";

/**
 * Where you keep which events have had their effect: the last number per project, in the same database as the effect. Two tables
 * of your own are enough; see `fileLedger` for the smallest one that is right.
 */
export interface Ledger<Tx> {
  /** Runs `body` in one transaction, alone or serializable: all of it lasts, or nothing. */
  transaction<T>(body: (tx: Tx) => Promise<T>): Promise<T>;
  /** Number of the newest event of a source that had its effect; undefined: none yet. */
  lastNumber(tx: Tx, source: string): Promise<number | undefined> | number | undefined;
  setLastNumber(tx: Tx, source: string, number: number): Promise<void> | void;
}

/**
 * Makes an event's effect happen once, however often the event is delivered: what `effect` writes through `tx` and the event's number
 * become durable together, and an event whose number is not behind the last one is not applied again.
 *
 * What this cannot promise: anything that `effect` does outside of `tx` (a mail, a request to another system) happens at least once,
 * because a crash between it and the commit repeats it. Give such a receiver the event's `id` as its idempotency key.
 */
export function applyOnce<Tx>(
  ledger: Ledger<Tx>,
  event: CloudEvent,
  effect: (tx: Tx) => Promise<void> | void,
): Promise<"applied" | "repeated"> {
  return ledger.transaction(async (tx) => {
    const number = Number(event.sequence);
    const last = await ledger.lastNumber(tx, event.source);
    if (last !== undefined && number <= last) return "repeated";
    await effect(tx);
    await ledger.setLastNumber(tx, event.source, number);
    return "applied";
  });
}
