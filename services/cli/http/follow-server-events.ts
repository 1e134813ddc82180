import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../../proto/errors.ts";
import { toFailure } from "../../shared/read-problem.ts";
import { readServerEvents, type ServerEvent } from "../../shared/read-server-events.ts";
import type { ApiClient, Query } from "./api-client.ts";
import { connectionError, openRequest, parseJson, readBody } from "./open-request.ts";
import { isPassing, waitBefore } from "./with-retries.ts";

export interface FollowServerEventsOptions {
  readonly path: string;
  readonly query: Query;
  /** Begin behind this cursor; undefined: where the farm begins. */
  readonly from: string | undefined;
  readonly onLost: (failure: GranaryError) => void;
}

/** Three missed keep-alives. */
const IDLE_MS = 45_000;
/** Times that a first contact may break, which takes 3 s: a farm that restarts does that, and so does a URL where something else listens. */
const FIRST_FAILURES = 4;

/**
 * An event stream of the farm: a lost connection is taken up behind the last event that had an id (Last-Event-ID). Ends when the
 * client's signal aborts, or who reads it stops.
 * @throws GranaryError the farm's refusal; on the first contact NO_FARM, and what does not pass in a few seconds
 */
export async function* followServerEvents(
  api: ApiClient,
  options: FollowServerEventsOptions,
): AsyncGenerator<ServerEvent, void, undefined> {
  let last = options.from;
  let contacted = false;
  for (let failures = 0; ; ) {
    try {
      const response = await connect(api, options, last);
      contacted = true;
      for await (const message of readServerEvents(response)) {
        failures = 0;
        last = message.id ?? last;
        yield message;
      }
      throw new GranaryError("UNAVAILABLE", `${api.url} ended the event stream`);
    } catch (cause) {
      api.signal.throwIfAborted();
      const error = connectionError(cause, api.url);
      if (!isPassing(error)) throw error;
      if (!contacted && (failures >= FIRST_FAILURES || (failures === 0 && error.code === "NO_FARM")))
        throw error;
      failures += 1;
      if (failures === 1) options.onLost(error);
      await sleep(waitBefore(error, failures), undefined, { signal: api.signal });
    }
  }
}

async function connect(
  api: ApiClient,
  { path, query }: FollowServerEventsOptions,
  last: string | undefined,
): Promise<IncomingMessage> {
  const { request, response } = openRequest({
    method: "GET",
    url: api.target(path, { ...query, cursor: last }),
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
