import type { EventRecord } from "../../../proto/events.ts";
import type { HoldJson, NodeJson, QueueJson } from "../../../proto/http.ts";
import type { StoreJson } from "../../../proto/http-store.ts";
import type { ProjectRecord, PublishRecord, ReleaseRecord } from "../../../proto/records.ts";
import { eventTable } from "./event-table.ts";
import { type Content, type Html, html } from "./html.ts";
import { ago, bytes, commit, facts, section, table, tag } from "./parts.ts";
import { publishTable } from "./publish-table.ts";

/** What the first page shows; a part is undefined where the token may not see it. */
export interface Home {
  readonly org: string;
  readonly nowMs: number;
  /** Others that the token may look into. */
  readonly orgs: readonly string[];
  readonly projects?: {
    readonly rows: readonly {
      readonly project: ProjectRecord;
      readonly release: ReleaseRecord | undefined;
      readonly held: HoldJson["held"];
    }[];
    /** Query of the next page. */
    readonly next: string | undefined;
    /** Name that the list begins at, when one was asked for. */
    readonly from: string | undefined;
    readonly isFirst: boolean;
    /** `count`: of which the oldest are shown. */
    readonly working: { readonly items: readonly PublishRecord[]; readonly count: number };
    readonly events: readonly EventRecord[];
  };
  readonly farm?: {
    readonly problems: readonly string[];
    readonly nodes: readonly NodeJson[];
    readonly lanes: QueueJson["lanes"];
    readonly store: Pick<
      StoreJson,
      "blobs" | "layers" | "disk_bytes" | "budget_bytes" | "dead_bytes" | "inbox_bytes"
    >;
  };
}

export function homePage(home: Home): Content {
  const { org, nowMs, projects, farm } = home;
  return html`<h1>${org}</h1>
${home.orgs.length > 0 && html`<p class="dim" id="orgs">Other orgs: ${home.orgs.map((one, i) => [i > 0 && ", ", html`<a href="/?org=${one}">${one}</a>`])}</p>`}
${farm !== undefined && farm.problems.length > 0 && html`<p class="notice bad" id="problems">The farm takes no publishes: ${farm.problems.join(", ")}</p>`}
${projects === undefined && html`<p class="notice">This token may not read projects (scope <code>read</code>).</p>`}
${
  projects !== undefined && [
    // Outside of its section: what is put in place when something happens would take away what is being typed.
    (!projects.isFirst || projects.next !== undefined) && jump(projects, org),
    section("projects", "Projects", [
      projectTable(projects, org, nowMs),
      pages(projects.next, projects.isFirst ? undefined : new URLSearchParams({ org }).toString()),
    ]),
    section(
      "working",
      ["In progress", some(projects.working)],
      publishTable(projects.working.items, {
        nowMs,
        empty: "Nothing is being published.",
        withProject: true,
      }),
    ),
  ]
}
${farm !== undefined && farmParts(farm, nowMs)}
${projects !== undefined && section("events", "Events", eventTable(projects.events, { nowMs, withProject: true }))}`;
}

function projectTable(projects: NonNullable<Home["projects"]>, org: string, nowMs: number): Html {
  return table(
    projects.rows,
    [
      {
        label: "Project",
        bare: true,
        show: ({ project }) => html`<a href="/console/${org}/${project.project}">${project.project}</a>`,
      },
      {
        label: "Live",
        bare: true,
        show: ({ project, held }) => [
          project.current === null ? tag("nothing", "") : tag(project.current, "good"),
          held !== null && [" ", tag(held.level === "project" ? "held" : `held by ${held.level}`, "warn")],
        ],
      },
      { label: "Commit", show: ({ release }) => release && commit(release.commit) },
      { label: "Since", show: ({ release }) => ago(release?.activated_at, nowMs) },
      {
        label: "Newest",
        as: "n",
        show: ({ project }) => (project.last_version === 0 ? "" : `v${project.last_version}`),
      },
      { label: "Generation", as: "n", show: ({ project }) => project.generation },
      { label: "Size", as: "n", show: ({ release }) => release && bytes(release.size_bytes) },
    ],
    {
      caption: `Projects of ${org}`,
      empty: html`No project yet. The first publish makes it: <code>granary publish DIR</code>`,
    },
  );
}

function jump({ from }: NonNullable<Home["projects"]>, org: string): Html {
  return html`<form class="jump" method="get" action="/" role="search"><input type="hidden" name="org" value="${org}">
<label for="from">Projects from</label> <input id="from" name="from" value="${from}" maxlength="63" autocapitalize="none" spellcheck="false" placeholder="name, or how it begins">
<button>Show</button></form>`;
}

function some({ items, count }: NonNullable<Home["projects"]>["working"]): Content {
  return (
    count > items.length &&
    html` <small>the oldest ${items.length} of ${count.toLocaleString("en-US")}</small>`
  );
}

function pages(next: string | undefined, first: string | undefined): Content {
  if (first === undefined) return more(next);
  return html`<p><a href="?${first}">First</a>${next !== undefined && html` <a href="?${next}">More</a>`}</p>`;
}

export function more(query: string | undefined): Content {
  return query !== undefined && html`<p><a href="?${query}">More</a></p>`;
}

function farmParts({ nodes, lanes, store }: NonNullable<Home["farm"]>, nowMs: number): Content {
  return [
    section(
      "nodes",
      "Nodes",
      table(
        nodes,
        [
          { label: "Node", bare: true, show: ({ node }) => node },
          {
            label: "State",
            bare: true,
            show: ({ state }) => tag(state, state === "ready" ? "good" : "warn"),
          },
          { label: "Threads busy", as: "n", show: (node) => `${node.threads_busy} / ${node.threads}` },
          { label: "Jobs", as: "n", show: ({ jobs }) => jobs },
          {
            label: "Disk free",
            as: "n",
            show: ({ disk }) => `${bytes(disk.free_bytes)} of ${bytes(disk.total_bytes)}`,
          },
          { label: "Seen", show: (node) => ago(node.last_seen, nowMs) },
          { label: "Version", show: ({ version }) => version },
        ],
        { caption: "Nodes", empty: "No node." },
      ),
    ),
    section(
      "queue",
      "Queue",
      table(
        lanes,
        [
          { label: "Org", bare: true, show: ({ org }) => org },
          { label: "Lane", show: ({ lane }) => lane },
          { label: "Queued", as: "n", show: ({ queued }) => queued },
          { label: "Running", as: "n", show: ({ running }) => running },
          {
            label: "Oldest",
            as: "n",
            show: ({ oldest_age_ms }) => oldest_age_ms !== null && `${Math.round(oldest_age_ms / 1000)} s`,
          },
        ],
        { caption: "Queue", empty: "The queue is empty." },
      ),
    ),
    section(
      "store",
      "Store",
      facts([
        ["On disk", bytes(store.disk_bytes)],
        ["Budget", store.budget_bytes === null ? "none" : bytes(store.budget_bytes)],
        ["Contents", store.blobs.toLocaleString("en-US")],
        ["Layers", store.layers.toLocaleString("en-US")],
        ["Dead", bytes(store.dead_bytes)],
        ["Uploads", bytes(store.inbox_bytes)],
      ]),
    ),
  ];
}
