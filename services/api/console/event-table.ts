import type { EventRecord } from "../../../proto/events.ts";
import { type Content, type Html, html } from "./html.ts";
import { ago, type Column, type Mood, table, tag, words } from "./parts.ts";

/** Events, newest first. */
export function eventTable(
  events: readonly EventRecord[],
  options: { nowMs: number; withProject: boolean },
): Html {
  const project: Column<EventRecord> = {
    label: "Project",
    bare: true,
    show: (event) => html`<a href="/console/${event.org}/${event.project}">${event.project}</a>`,
  };
  return table(
    events,
    [
      { label: "When", as: "now", bare: true, show: (event) => ago(event.at, options.nowMs) },
      ...(options.withProject ? [project] : []),
      { label: "Event", bare: true, show: ({ type }) => tag(type, moodOf(type)) },
      {
        label: "About",
        bare: true,
        show: ({ subject }) => html`<span class="mono">${words(subject)}</span>`,
      },
      { label: "Data", bare: true, as: "wide", show: details },
    ],
    { caption: "Events, newest first", empty: "No events yet." },
  );
}

function moodOf(type: string): Mood {
  if (type === "release.activated") return "good";
  return /failed|disabled/.test(type) ? "bad" : "";
}

/** The members that say why; the whole event is in `granary event ls`. */
function details({ data, subject }: EventRecord): Content {
  const { from, to, error } = data;
  const moved = typeof to === "string" && `${typeof from === "string" ? from : "nothing"} -> ${to}`;
  const code = typeof error === "object" && error !== null && "code" in error && String(error.code);
  const { cause, reason, version, commit } = data;
  const made = typeof commit === "string" && commit.slice(0, 12);
  const why = [data["not_activated_reason"], data["overtaken_by"]];
  const parts = [moved, code, cause, reason, version, made, ...why].filter(
    (part) => typeof part === "string" && part !== "" && part !== subject,
  );
  return parts.map((part, i) => [i > 0 && ", ", words(String(part))]);
}
