import type { GranaryError } from "../../../proto/errors.ts";
import { type CloudEvent, isBehind, parseCursor } from "../../../proto/events.ts";
import type { ApiClient, Query } from "./api-client.ts";
import { followServerEvents } from "./follow-server-events.ts";
import { parseJson } from "./open-request.ts";

export interface FollowOptions {
  readonly query: Query;
  /** Begin behind this cursor; undefined: where the farm begins. */
  readonly from: string | undefined;
  readonly onLost: (failure: GranaryError) => void;
  /** A number of a project was skipped: the farm broke its promise. */
  readonly onGap: (event: CloudEvent) => void;
}

/**
 * Events as they happen, each once and in order: a lost connection is taken up behind the last event, and what comes a second
 * time is dropped. Ends when the client's signal aborts.
 * @throws GranaryError the farm's refusal; NO_FARM on the first contact
 */
export async function* followEvents(
  api: ApiClient,
  options: FollowOptions,
): AsyncGenerator<CloudEvent, void, undefined> {
  let last = options.from;
  const numbers = new Map<string, number>();
  const messages = followServerEvents(api, {
    path: "/v1/events",
    query: { ...options.query, follow: "true" },
    from: options.from,
    onLost: options.onLost,
  });
  for await (const message of messages) {
    const event = toEvent(message);
    if (
      event === undefined ||
      (last !== undefined && !isBehind(parseCursor(event.granarycursor), parseCursor(last)))
    )
      continue;
    if (skipsNumber(numbers, event)) options.onGap(event);
    last = event.granarycursor;
    yield event;
  }
}

function toEvent(message: { readonly data: string }): CloudEvent | undefined {
  const value = parseJson(message.data);
  // The shape is the farm's promise (proto/events.ts).
  return typeof value === "object" && value !== null && "granarycursor" in value
    ? (value as CloudEvent)
    : undefined;
}

/** Whether a project's gap-free numbering has a hole before this event. */
function skipsNumber(numbers: Map<string, number>, event: CloudEvent): boolean {
  const number = Number(event.sequence);
  const before = numbers.get(event.source);
  numbers.set(event.source, number);
  return before !== undefined && number !== before + 1;
}
