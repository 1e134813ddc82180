import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  PubHeaders,
} from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
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
   * Appends events in order, right behind `lastSeq`, none behind one that was not taken. Events carry their own order and numbers:
   * whoever loses the race reads the tail and goes on from there. @throws when the outcome is not known: read the tail
   */
  publish(events: readonly EventRecord[], lastSeq: number): Promise<EventsPublished>;
}

/** Keeps latency and memory low; nothing waits within a batch. */
export const EVENTS_PER_BATCH = 250;
const TIMEOUT_MS = 2_000;
const STREAM = STREAMS.events;
const CURSOR_HEADER = "Granary-Cursor";

export function eventStream(bus: {
  nats: NatsConnection;
  js: JetStreamClient;
  manager: JetStreamManager;
}): EventStream {
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
      const messages = events.map(messageOf);
      const last = messages.pop();
      if (last === undefined) return { ok: true, lastSeq };
      // One connection keeps the order, and each message expects the one before it: the answer to the last is that of all. An atomic
      // batch costs the server a folder with files of its own, twelve system calls for the five events of a publish.
      for (const [i, { subject, payload, headers: head }] of messages.entries()) {
        head.set(PubHeaders.ExpectedLastSeqHdr, String(lastSeq + i));
        bus.nats.publish(subject, payload, { headers: head });
      }
      try {
        const ack = await bus.js.publish(last.subject, last.payload, {
          headers: last.headers,
          expect: { lastSequence: lastSeq + messages.length },
          timeout: TIMEOUT_MS,
        });
        return { ok: true, lastSeq: ack.seq };
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

function messageOf(event: EventRecord): EventMessage {
  const head = headers();
  head.set(CURSOR_HEADER, formatCursor(event));
  return { subject: eventSubject(event), payload: JSON.stringify(toCloudEvent(event)), headers: head };
}
