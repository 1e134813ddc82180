import { GranaryError } from "../../proto/errors.ts";
import { type CloudEvent, isBehind, parseCursor } from "../../proto/events.ts";

/**
 * Where you keep which events have had their effect: the last number per project, in the same database as the effect. Two tables
 * of your own are enough; see `fileLedger` for the smallest one that is right.
 */
export interface Ledger<Tx> {
  /** Runs `body` in one transaction, alone or serializable: all of it lasts, or nothing. */
  transaction<T>(body: (tx: Tx) => Promise<T>): Promise<T>;
  /** Number of the newest event of a source that had its effect; undefined: none yet. */
  lastNumber(tx: Tx, source: string): Promise<number | undefined> | number | undefined;
  /** Absent `cursor`: the number was set by hand, from a snapshot's `event_n`; what was stored with the last one goes. */
  setLastNumber(tx: Tx, source: string, number: number, cursor?: string): Promise<void> | void;
  /**
   * The cursor that was stored with the last number. A farm that was restored gives numbers again, to other events: without this they
   * pass for repeated ones.
   */
  lastCursor?(tx: Tx, source: string): Promise<string | undefined> | string | undefined;
}

/**
 * Makes an event's effect happen once, however often the event is delivered: what `effect` writes through `tx` and the event's number
 * become durable together, and an event whose number is not behind the last one is not applied again.
 *
 * What this cannot promise: anything that `effect` does outside of `tx` (a mail, a request to another system) happens at least once,
 * because a crash between it and the commit repeats it. Give such a receiver the event's `id` as its idempotency key.
 * @throws GranaryError CURSOR_EXPIRED when a restore has undone what the ledger has seen
 */
export function applyOnce<Tx>(
  ledger: Ledger<Tx>,
  event: CloudEvent,
  effect: (tx: Tx) => Promise<void> | void,
): Promise<"applied" | "repeated"> {
  return ledger.transaction(async (tx) => {
    const number = Number(event.sequence);
    const last = await ledger.lastNumber(tx, event.source);
    if (last !== undefined && number <= last) {
      refuseGivenAgain(event, await ledger.lastCursor?.(tx, event.source));
      return "repeated";
    }
    await effect(tx);
    await ledger.setLastNumber(tx, event.source, number, event.granarycursor);
    return "applied";
  });
}

/** An event that was seen lies before the last one that was. */
function refuseGivenAgain(event: CloudEvent, last: string | undefined): void {
  if (last === undefined || !isBehind(parseCursor(event.granarycursor), parseCursor(last))) return;
  throw new GranaryError(
    "CURSOR_EXPIRED",
    `the farm was restored: ${event.id} is not the event that the ledger has seen`,
    {
      source: event.source,
      hint: "Make your state what snapshot() says, with its event_n as the ledger's number of each project, and go on.",
    },
  );
}
