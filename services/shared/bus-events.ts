import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import {
  type Cursor,
  type EventRecord,
  formatCursor,
  parseCursor,
  toCloudEvent,
} from "../../proto/events.ts";
import { eventSubject, STREAMS } from "../../proto/subjects.ts";

/** Where the event stream stands: its last sequence, and the cursor of its last event while it still holds one. */
export interface EventTail {
  readonly lastSeq: number;
  readonly cursor: Cursor | undefined;
}

/** A publish of events that took place, or did not because the stream had moved on (another relay). */
export type EventsPublished = { readonly ok: true; readonly lastSeq: number } | { readonly ok: false };

export interface EventStream {
  tail(): Promise<EventTail>;
  /**
   * Appends events, all or none, right behind `lastSeq`. Events carry their own order and numbers: whoever loses the race
   * reads the tail and goes on from there. @throws when the outcome is not known: read the tail
   */
  publish(events: readonly EventRecord[], lastSeq: number): Promise<EventsPublished>;
}

/** An atomic batch may hold 1,000 messages; a quarter of that keeps latency and memory low at nearly the same rate. */
export const EVENTS_PER_BATCH = 250;
const TIMEOUT_MS = 2_000;
const STREAM = STREAMS.events;
const CURSOR_HEADER = "Granary-Cursor";

export function eventStream(bus: { js: JetStreamClient; manager: JetStreamManager }): EventStream {
  return {
    async tail() {
      try {
        const last = await bus.manager.streams.getMessage(STREAM, { last_by_subj: ">" });
        if (last !== null) return { lastSeq: last.seq, cursor: parseCursor(last.header.get(CURSOR_HEADER)) };
      } catch (error) {
        if (!(error instanceof JetStreamApiError && error.code === JetStreamApiCodes.NoMessageFound))
          throw error;
      }
      const { state } = await bus.manager.streams.info(STREAM);
      return { lastSeq: state.last_seq, cursor: undefined };
    },

    async publish(events, lastSeq) {
      const [first, ...rest] = events.map(messageOf);
      if (first === undefined) return { ok: true, lastSeq };
      const expect = { lastSequence: lastSeq };
      try {
        if (rest.length === 0) {
          const ack = await bus.js.publish(first.subject, first.payload, {
            headers: first.headers,
            expect,
            timeout: TIMEOUT_MS,
          });
          return { ok: true, lastSeq: ack.seq };
        }
        return { ok: true, lastSeq: await publishBatch(bus.js, [first, ...rest], expect) };
      } catch (error) {
        if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence)
          return { ok: false };
        throw error;
      }
    },
  };
}

interface EventMessage {
  readonly subject: string;
  readonly payload: string;
  readonly headers: ReturnType<typeof headers>;
}

/** One fsync for the batch: 7,242 messages/s against 1,195 one by one (R1, sync always). */
async function publishBatch(
  js: JetStreamClient,
  messages: readonly EventMessage[],
  expect: { lastSequence: number },
): Promise<number> {
  const [first, ...rest] = messages;
  const last = rest.pop();
  if (first === undefined || last === undefined) throw new RangeError("a batch has two messages at least");
  const batch = await js.startBatch(first.subject, first.payload, {
    headers: first.headers,
    expect,
    timeout: TIMEOUT_MS,
  });
  for (const message of rest)
    batch.add(message.subject, message.payload, { headers: message.headers, ack: false });
  const ack = await batch.commit(last.subject, last.payload, { headers: last.headers, timeout: TIMEOUT_MS });
  return ack.seq;
}

function messageOf(event: EventRecord): EventMessage {
  const head = headers();
  head.set(CURSOR_HEADER, formatCursor(event));
  return { subject: eventSubject(event), payload: JSON.stringify(toCloudEvent(event)), headers: head };
}
