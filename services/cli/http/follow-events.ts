import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../../proto/errors.ts";
import { type CloudEvent, parseCursor } from "../../../proto/events.ts";
import { toFailure } from "../../shared/read-problem.ts";
import { readServerEvents } from "../../shared/read-server-events.ts";
import type { ApiClient, Query } from "./api-client.ts";
import { connectionError, openRequest, parseJson, readBody } from "./open-request.ts";
import { isPassing, waitBefore } from "./with-retries.ts";

export interface FollowOptions {
  readonly query: Query;
  /** Begin behind this cursor; undefined: where the farm begins. */
  readonly from: string | undefined;
  readonly onLost: (failure: GranaryError) => void;
  /** A number of a project was skipped: the farm broke its promise. */
  readonly onGap: (event: CloudEvent) => void;
}

/** Three missed keep-alives. */
const IDLE_MS = 45_000;

/**
 * Events as they happen, each once and in order: a lost connection is taken up behind the last event (Last-Event-ID), and what
 * comes a second time is dropped. Ends when the client's signal aborts.
 * @throws GranaryError the farm's refusal; NO_FARM on the first contact
 */
export async function* followEvents(
  api: ApiClient,
  options: FollowOptions,
): AsyncGenerator<CloudEvent, void, undefined> {
  let last = options.from;
  let contacted = false;
  const numbers = new Map<string, number>();
  for (let failures = 0; ; ) {
    try {
      const response = await connect(api, options.query, last);
      contacted = true;
      for await (const message of readServerEvents(response)) {
        failures = 0;
        const event = toEvent(message);
        if (event === undefined || (last !== undefined && !isBehind(event.granarycursor, last))) continue;
        if (skipsNumber(numbers, event)) options.onGap(event);
        last = event.granarycursor;
        yield event;
      }
      throw new GranaryError("UNAVAILABLE", `${api.url} ended the event stream`);
    } catch (cause) {
      api.signal.throwIfAborted();
      const error = connectionError(cause, api.url);
      if (!isPassing(error) || !contacted) throw error;
      failures += 1;
      if (failures === 1) options.onLost(error);
      await sleep(waitBefore(error, failures), undefined, { signal: api.signal });
    }
  }
}

async function connect(api: ApiClient, query: Query, last: string | undefined): Promise<IncomingMessage> {
  const { request, response } = openRequest({
    method: "GET",
    url: api.target("/v1/events", { ...query, follow: "true", cursor: last }),
    farmUrl: api.url,
    headers: await api.headers({
      accept: "text/event-stream",
      ...(last === undefined ? {} : { "last-event-id": last }),
    }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  request.end();
  const answer = await response;
  if (answer.statusCode === 200) return answer;
  const body = parseJson(await readBody(answer, api.url));
  throw toFailure({
    status: answer.statusCode ?? 0,
    body,
    retryAfter: answer.headers["retry-after"],
    url: api.url,
  });
}

function toEvent(message: { readonly data: string }): CloudEvent | undefined {
  const value = parseJson(message.data);
  // The shape is the farm's promise (proto/events.ts).
  return typeof value === "object" && value !== null && "granarycursor" in value
    ? (value as CloudEvent)
    : undefined;
}

function isBehind(cursor: string, last: string): boolean {
  const [a, b] = [parseCursor(cursor), parseCursor(last)];
  return a.seq > b.seq || (a.seq === b.seq && a.k > b.k);
}

/** Whether a project's gap-free numbering has a hole before this event. */
function skipsNumber(numbers: Map<string, number>, event: CloudEvent): boolean {
  const number = Number(event.sequence);
  const before = numbers.get(event.source);
  numbers.set(event.source, number);
  return before !== undefined && number !== before + 1;
}
