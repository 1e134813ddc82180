import { EXIT } from "../../../proto/errors.ts";
import { eventCursor, eventQuery } from "../event-query.ts";
import { headCursor } from "../head-cursor.ts";
import { followEvents } from "../http/follow-events.ts";
import { formatEvent } from "../output/format-event.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Follows events until Ctrl-C: one line each, with --json one CloudEvent a line. */
export const eventTail: VerbHandler<"event tail"> = async ({
  flags,
  output,
  interrupted,
  api,
  pasteable,
}) => {
  const client = api();
  const query = eventQuery(flags);
  let last = eventCursor(flags.text("from"));
  try {
    last ??= await headCursor(client, query);
    const events = followEvents(client, {
      query,
      from: last,
      onLost: (failure) => output.note(`${failure.message}; reconnecting`),
      onGap: (event) => output.warn(`events of ${event.source} before ${event.granarycursor} are missing`),
    });
    for await (const event of events) {
      last = event.granarycursor;
      output.emit(event, () => output.line(formatEvent(event)));
    }
    return EXIT.ok;
  } catch (error) {
    if (!interrupted.aborted) throw error;
    if (last !== undefined) output.note(`go on from here: ${pasteable("event", "tail", "--from", last)}`);
    return EXIT.interrupted;
  }
};
