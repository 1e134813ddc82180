import { GranaryError } from "../../proto/errors.ts";
import { type CloudEvent, isBehind, parseCursor } from "../../proto/events.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { readServerEvents } from "../shared/read-server-events.ts";
import { nameProject } from "./name-project.ts";
import { isPassing, pause, type Requests, WAIT_MAX_MS } from "./requests.ts";

export interface EventsOptions {
  /** `beginning` (the default), `now`, or a cursor: events strictly behind it come. */
  readonly from?: string;
  /** `org/project`; absent: all that the token may read in its org. */
  readonly project?: string;
  readonly org?: string;
  /** false: ends where the events end now. */
  readonly follow?: boolean;
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal;
  /** Told why, whenever something has to be tried again: a farm that is away is waited for, however long. */
  readonly onRetry?: ((error: GranaryError) => void) | undefined;
}

/** The farm sends a comment every 15 s: a connection that is silent for three of them is dead. */
const SILENCE_MS = 45_000;

/**
 * Follows the events and takes up a broken connection behind the last event that was handed out, so none comes twice from here.
 * @param onPlace told that there is nothing more up to a cursor, when all that was handed out has been asked behind
 * @throws GranaryError EVENT_GAP when a project's number is left out; CURSOR_EXPIRED (then ask for the `snapshot`); what the farm refuses with
 */
export async function* readEvents(
  requests: Requests,
  options: EventsOptions,
  onPlace?: (cursor: string) => void,
): AsyncGenerator<CloudEvent, void, undefined> {
  const { follow = true } = options;
  const ended = options.signal ?? new AbortController().signal;
  const numbers = new Map<string, number>();
  const { from = "beginning" } = options;
  let cursor = from === "beginning" ? "0-0" : from;
  const moveTo = (place: string): void => {
    cursor = place;
    onPlace?.(place);
  };
  for (let failures = 0; ; ) {
    const sinceMs = performance.now();
    try {
      if (cursor === "now") cursor = await newest(requests, options, ended);
      for await (const event of connection(requests, { ...options, follow, cursor, moveTo }, ended)) {
        failures = 0;
        if (!isBehind(parseCursor(event.granarycursor), parseCursor(cursor))) continue;
        checkNumber(event, numbers);
        cursor = event.granarycursor;
        yield event;
      }
      if (!follow) return;
      // The farm cuts what it cannot go on with: an end like this is that of something in between.
      throw new GranaryError("UNAVAILABLE", `the event stream of ${requests.url} ended`);
    } catch (error) {
      ended.throwIfAborted();
      if (!isPassing(error)) throw error;
      failures = performance.now() - sinceMs > WAIT_MAX_MS ? 1 : failures + 1;
      options.onRetry?.(error);
      await pause(error, failures, ended);
    }
  }
}

/** Where the events end now. */
async function newest(requests: Requests, of: EventsOptions, signal: AbortSignal): Promise<string> {
  const query = new URLSearchParams({ ...nameProject(of), limit: "1" });
  const path = `/v1/events/snapshot?${query}`;
  return (await requests.json<EventSnapshotJson>("GET", path, undefined, signal)).cursor;
}

async function* connection(
  requests: Requests,
  of: EventsOptions & { follow: boolean; cursor: string; moveTo: (place: string) => void },
  ended: AbortSignal,
): AsyncGenerator<CloudEvent, void, undefined> {
  const dead = new AbortController();
  const signal = AbortSignal.any([ended, dead.signal]);
  let timer = setTimeout(() => dead.abort(), SILENCE_MS);
  try {
    const response = await requests.open(
      `/v1/events?${query(of)}`,
      { accept: "text/event-stream", "last-event-id": of.cursor },
      signal,
    );
    if (response.body === null) return;
    const heard = tap(response.body, () => {
      clearTimeout(timer);
      timer = setTimeout(() => dead.abort(), SILENCE_MS);
    });
    for await (const { data } of readServerEvents(heard, of.moveTo)) yield JSON.parse(data) as CloudEvent;
  } catch (cause) {
    if (cause instanceof GranaryError || ended.aborted) throw cause;
    throw new GranaryError("UNAVAILABLE", `the event stream of ${requests.url} broke`, {}, { cause });
  } finally {
    clearTimeout(timer);
    dead.abort();
  }
}

function query(of: EventsOptions & { follow: boolean; cursor: string }): string {
  return new URLSearchParams({
    cursor: of.cursor,
    follow: String(of.follow),
    ...nameProject(of),
  }).toString();
}

async function* tap(
  body: AsyncIterable<Uint8Array>,
  onChunk: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    onChunk();
    yield chunk;
  }
}

function checkNumber(event: CloudEvent, numbers: Map<string, number>): void {
  const number = Number(event.sequence);
  const before = numbers.get(event.source);
  numbers.set(event.source, number);
  if (before === undefined || number === before + 1) return;
  throw new GranaryError("EVENT_GAP", `${event.source} went from event ${before} to ${number}`, {
    source: event.source,
    expected: before + 1,
    actual: number,
  });
}
