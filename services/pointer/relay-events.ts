import type { Cursor, EventRecord } from "../../proto/events.ts";
import { EVENTS_PER_BATCH, type EventStream } from "../shared/bus-events.ts";
import { EVENTS_MAX_AGE_MS } from "../shared/bus-streams.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import type { LocalCursors } from "./local-cursors.ts";

export interface RelaySource {
  read<T>(body: (view: StateView) => T): T;
}

export interface RelayLoop {
  /** Relays one batch; answers whether there may be more. @throws when the bus does not answer: call it again */
  step(): Promise<boolean>;
  /** The bus is there again: a server that died may have lost the last of what it had taken. */
  reconnected(): void;
}

/**
 * Relays events from the state to the event stream, in order, each once: the place to go on from is read from the stream
 * itself, and every append expects the stream to be where it was left. A second relay loses that race and reads again, and what a
 * server lost in a crash is relayed again.
 */
export function eventRelay(options: {
  source: RelaySource;
  stream: EventStream;
  cursors: LocalCursors;
}): RelayLoop {
  const { source, stream, cursors } = options;
  let place: { lastSeq: number; cursor: Cursor } | undefined;
  const begin = async (): Promise<{ lastSeq: number; cursor: Cursor }> => {
    const { lastSeq, cursor } = await stream.tail();
    if (cursor !== undefined) return { lastSeq, cursor };
    const relayed = cursors.get("events-cursor");
    if (relayed !== undefined && relayed.streamSeq <= lastSeq) return { lastSeq, cursor: relayed.cursor };
    return { lastSeq, cursor: source.read((view) => oldestKept(view, lastSeq)) };
  };
  const step = async (): Promise<boolean> => {
    place ??= await begin();
    const { lastSeq, cursor } = place;
    const events = source.read((view) => eventsBehind(view, cursor));
    const last = events.at(-1);
    if (last === undefined) return false;
    // Until the answer is there, the stream may or may not have moved.
    place = undefined;
    const published = await stream.publish(events, lastSeq);
    if (!published.ok) return true;
    place = { lastSeq: published.lastSeq, cursor: { seq: last.seq, k: last.k } };
    cursors.set("events-cursor", { cursor: place.cursor, streamSeq: place.lastSeq });
    return events.length === EVENTS_PER_BATCH;
  };
  const reconnected = (): void => {
    place = undefined;
  };
  return { step, reconnected };
}

function eventsBehind(view: StateView, cursor: Cursor): EventRecord[] {
  const rows = view.range(RANGES.events(), { after: KEYS.event(cursor), limit: EVENTS_PER_BATCH });
  return [...rows].map((row) => row.value);
}

const BEGINNING: Cursor = { seq: 0, k: 0 };

/**
 * Where to begin on a stream without messages. One that never had any gets everything; one whose messages have all aged out
 * gets what it would still keep, instead of the whole history anew.
 */
function oldestKept(view: StateView, lastSeq: number): Cursor {
  if (lastSeq === 0) return BEGINNING;
  const oldestMs = (view.get(KEYS.meta())?.time_ms ?? 0) - EVENTS_MAX_AGE_MS;
  let before = BEGINNING;
  for (const { value } of view.range(RANGES.events())) {
    if (Date.parse(value.at) >= oldestMs) break;
    before = { seq: value.seq, k: value.k };
  }
  return before;
}
