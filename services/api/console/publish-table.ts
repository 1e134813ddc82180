import { actorText } from "../../../proto/actor-text.ts";
import type { PublishRecord, PublishState } from "../../../proto/records.ts";
import { type Html, html } from "./html.ts";
import { ago, type Column, commit, type Mood, table, tag, words } from "./parts.ts";

export function publishTable(
  publishes: readonly PublishRecord[],
  options: { nowMs: number; empty: string; withProject?: true },
): Html {
  const project: Column<PublishRecord> = {
    label: "Project",
    bare: true,
    show: (one) => html`<a href="/console/${one.org}/${one.project}">${one.project}</a>`,
  };
  return table(
    publishes,
    [
      ...(options.withProject === true ? [project] : []),
      { label: "State", bare: true, show: ({ state }) => tag(state, MOODS[state]) },
      {
        label: "For",
        bare: true,
        show: (one) => one.version ?? (one.channel === "production" ? "" : one.channel),
      },
      { label: "Commit", show: (one) => commit(one.commit) },
      { label: "Accepted", show: (one) => ago(one.created_at, options.nowMs) },
      { label: "By", show: (one) => actorText(one.created_by) },
      {
        label: "Publish",
        as: "wide",
        bare: true,
        show: ({ publish_id, error }) => [
          html`<code>${publish_id}</code>`,
          error !== undefined && html`<br>${tag(error.code, "bad")} ${words(error.message)}`,
        ],
      },
    ],
    { caption: "Publishes", empty: options.empty },
  );
}

const MOODS: Readonly<Record<PublishState, Mood>> = {
  queued: "warn",
  ingesting: "warn",
  building: "warn",
  ready: "good",
  failed: "bad",
  cancelled: "",
  overtaken: "",
};
