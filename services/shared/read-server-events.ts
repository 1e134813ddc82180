import { GranaryError } from "../../proto/errors.ts";

export interface ServerEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: string;
}

/** More than any event of ours: an answer without line ends is not held for ever. */
const EVENT_CHARACTERS_MAX = 4 * 1024 * 1024;

/**
 * Parses a text/event-stream body (https://html.spec.whatwg.org/multipage/server-sent-events.html): events that end with an
 * empty line; an unfinished one at the end is dropped.
 * @param onId told the `id` that comes without data: the place to resume from has moved
 */
export async function* readServerEvents(
  body: AsyncIterable<Uint8Array>,
  onId?: (id: string) => void,
): AsyncGenerator<ServerEvent, void, undefined> {
  const decoder = new TextDecoder("utf-8");
  let pending = "";
  let fields: { id?: string; event?: string; data: string[] } = { data: [] };
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    if (pending.length > EVENT_CHARACTERS_MAX)
      throw new GranaryError("UNAVAILABLE", "the event stream sent a line without end");
    // A carriage return at the end may be half of a CRLF: it waits for what follows.
    const lines = pending.split(/\r\n|\n|\r(?!$)/);
    pending = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        readField(line, fields);
        continue;
      }
      if (fields.data.length > 0) yield { id: fields.id, event: fields.event, data: fields.data.join("\n") };
      else if (fields.id !== undefined) onId?.(fields.id);
      fields = { data: [] };
    }
  }
}

function readField(line: string, fields: { id?: string; event?: string; data: string[] }): void {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "data") fields.data.push(value);
  else if (name === "id") fields.id = value;
  else if (name === "event") fields.event = value;
}
