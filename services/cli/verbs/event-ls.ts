import { EXIT } from "../../../proto/errors.ts";
import type { CloudEvent } from "../../../proto/events.ts";
import { eventCursor, eventQuery } from "../event-query.ts";
import { formatTime } from "../output/format.ts";
import { projectOf, shortType, summary } from "../output/format-event.ts";
import { printPage } from "../output/print-page.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists past events, oldest first. */
export const eventLs: VerbHandler<"event ls"> = async ({ flags, output, api }) => {
  const query = { ...eventQuery(flags), cursor: eventCursor(flags.text("from")) ?? "0-0", follow: "false" };
  const page = await api().list<CloudEvent>("/v1/events", query, flags.count("limit") ?? 50);
  printPage(output, page, {
    header: ["CURSOR", "TIME", "PROJECT", "EVENT", "SUBJECT", "DETAIL"],
    spare: ["CURSOR"],
    empty: "no events",
    more: "--from",
    row: (event) => [
      event.granarycursor,
      formatTime(event.time),
      flags.text("project") === undefined ? projectOf(event) : undefined,
      shortType(event),
      event.subject,
      summary(event),
    ],
  });
  return EXIT.ok;
};
