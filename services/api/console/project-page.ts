import { actorText } from "../../../proto/actor-text.ts";
import type { EventRecord } from "../../../proto/events.ts";
import type { HoldJson } from "../../../proto/http.ts";
import { imageRef } from "../../../proto/image.ts";
import type { PreviewRecord, ProjectRecord, PublishRecord, ReleaseRecord } from "../../../proto/records.ts";
import { eventTable } from "./event-table.ts";
import { more } from "./home-page.ts";
import { type Content, type Html, html } from "./html.ts";
import { ago, at, bytes, commit, facts, imageReference, section, table, tag, words } from "./parts.ts";
import { publishTable } from "./publish-table.ts";

export interface ProjectView {
  readonly nowMs: number;
  /** Public name of the registry. */
  readonly registry: string;
  readonly project: ProjectRecord;
  readonly held: HoldJson["held"];
  readonly current: ReleaseRecord | undefined;
  readonly releases: readonly ReleaseRecord[];
  readonly next: string | undefined;
  readonly previews: readonly PreviewRecord[];
  readonly publishes: readonly PublishRecord[];
  readonly events: readonly EventRecord[];
}

export function projectPage(view: ProjectView): Content {
  const { project, nowMs } = view;
  const { org, project: name } = project;
  return html`<h1><a href="/?org=${org}">${org}</a> / ${name}</h1>
<div id="pointer">${hold(view)}${pointer(view)}</div>
${section("releases", "Releases", [releaseTable(view), more(view.next)])}
${view.previews.length > 0 && section("previews", "Previews", previewTable(view))}
${section("publishes", "Publishes", publishTable(view.publishes, { nowMs, empty: "None." }))}
${section("events", "Events", eventTable(view.events, { nowMs, withProject: false }))}`;
}

function hold({ held, nowMs }: ProjectView): Content {
  if (held === null) return "";
  return html`<p class="notice"><strong>Held${held.level !== "project" && ` by the ${held.level}`}</strong> ${ago(held.since, nowMs)} by ${actorText(held.by)}:
${words(held.reason)}. Publishes become ready and do not go live${held.until !== undefined && html` until ${at(held.until)}`}.</p>`;
}

function pointer({ project, current, nowMs, registry }: ProjectView): Html {
  if (current === undefined) return html`<p class="dim">Nothing is live.</p>`;
  return facts([
    ["Live", tag(current.version, "good")],
    ["Generation", project.generation],
    ["Commit", commit(current.commit)],
    ["Since", ago(current.activated_at, nowMs)],
    ["By", current.activated_by === undefined ? "" : actorText(current.activated_by)],
    ["Image", imageReference(referenceOf(current, registry), "image-live")],
  ]);
}

function referenceOf(
  { org, project, image_digest }: Pick<ReleaseRecord, "org" | "project" | "image_digest">,
  registry: string,
): string {
  return imageRef(registry, org, project, image_digest);
}

function releaseTable({ releases, nowMs, registry, project }: ProjectView): Html {
  return table(
    releases,
    [
      { label: "Version", bare: true, show: ({ version }) => html`<strong>${version}</strong>` },
      { label: "State", bare: true, show: stateOf },
      { label: "Commit", as: "now", show: (one) => [commit(one.commit), one.dirty === true && " (dirty)"] },
      { label: "Made", as: "now", show: (one) => ago(one.created_at, nowMs) },
      { label: "By", as: "now", show: (one) => actorText(one.created_by) },
      { label: "Size", as: "n", show: (one) => bytes(one.size_bytes) },
      { label: "Files", as: "n", show: (one) => one.file_count.toLocaleString("en-US") },
      {
        label: "Image",
        bare: true,
        as: "wide",
        show: (one) => imageReference(referenceOf(one, registry), `image-${one.version}`),
      },
      { label: "Notes", bare: true, as: "wide", show: notes },
    ],
    {
      caption: "Releases, newest first",
      empty: "No release yet.",
      live: ({ version }) => version === project.current,
    },
  );
}

function stateOf(release: ReleaseRecord): Content {
  const { state, not_activated_reason: reason } = release;
  return [
    tag(state === "active" ? "live" : state, state === "active" ? "good" : ""),
    state === "ready" && reason !== undefined && [" ", tag(reason.replaceAll("_", " "), "warn")],
  ];
}

/** What the publisher said, and what the farm remarked. */
function notes({ version, source, warnings, promoted_from }: ReleaseRecord): Content {
  const lines = [source, promoted_from && `promoted from ${promoted_from}`].filter(
    (line) => line !== undefined && line !== "",
  );
  if (lines.length + warnings.length === 0) return "";
  const several = warnings.length === 1 ? "1 warning" : `${warnings.length} warnings`;
  return [
    lines.map((line) => html`<div>${words(line)}</div>`),
    warnings.length > 0 &&
      html`<details id="notes-${version}"><summary>${several}</summary><ul class="plain">${warnings.map((one) => html`<li>${words(one)}</li>`)}</ul></details>`,
  ];
}

function previewTable({ previews, nowMs, registry }: ProjectView): Html {
  return table(
    previews,
    [
      { label: "Preview", bare: true, show: ({ name }) => html`<strong>${name}</strong>` },
      { label: "Commit", show: (one) => commit(one.commit) },
      { label: "Changed", show: (one) => ago(one.updated_at, nowMs) },
      {
        label: "Ends",
        show: (one) => (one.expires_at === undefined ? "pinned" : at(one.expires_at)),
      },
      {
        label: "Image",
        bare: true,
        as: "wide",
        show: (one) => imageReference(referenceOf(one, registry), `image-preview-${one.name}`),
      },
    ],
    { caption: "Previews", empty: "" },
  );
}
