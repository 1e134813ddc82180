import { GranaryError } from "../../proto/errors.ts";
import type { CloudEvent } from "../../proto/events.ts";
import type { CurrentJson } from "../../proto/http.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { fetchSnapshot } from "./fetch-snapshot.ts";
import { nameProject } from "./name-project.ts";
import { type EventsOptions, readEvents } from "./read-events.ts";
import { createRequests } from "./requests.ts";
import { type SubscribeOptions, type Subscription, subscribe } from "./subscribe.ts";

export { GranaryError } from "../../proto/errors.ts";
export type { CloudEvent } from "../../proto/events.ts";
export type { EventSnapshotJson } from "../../proto/webhook-http.ts";
export { fileLedger } from "./file-ledger.ts";
export { applyOnce, type Ledger } from "./ledger.ts";
export type { EventsOptions } from "./read-events.ts";
export type { SubscribeOptions, Subscription } from "./subscribe.ts";

export interface ConnectOptions {
  /** Where the farm is: `http://127.0.0.1:7421`. */
  readonly url: string;
  /** A token with the scope `read`. */
  readonly token: string;
}

/** What is live, and the place in the events that this answer reflects. */
export interface Current extends CurrentJson {
  /** Reading events from here on misses nothing that happened after this answer, and repeats nothing before it. */
  readonly cursor: string;
}

/** A farm as a subscriber sees it. Delivery is at least once, in order per project; a gap is an error. */
export interface Granary {
  /** @throws GranaryError NOT_FOUND, NOTHING_ACTIVE before the first activation */
  current(project: string): Promise<Current>;
  /** Events from a place on, for ever unless `follow` is false; a broken connection is taken up again where it was. */
  events(options?: EventsOptions): AsyncGenerator<CloudEvent, void, undefined>;
  /** What is live in an org, or in one project, and the cursor that goes with it: where to begin when a cursor has expired. */
  snapshot(of?: { readonly org?: string; readonly project?: string }): Promise<EventSnapshotJson>;
  /** Events for a group of processes that share one durable cursor: one of them reads at a time, the others stand by. */
  subscribe(options: SubscribeOptions): Subscription;
}

/** Connects to a farm; nothing is sent before the first call. Projects are `org/project`. */
export function connect(options: ConnectOptions): Granary {
  const requests = createRequests(options);
  return {
    current: async (project) => {
      const { org, project: name = "" } = nameProject({ project });
      if (org === undefined) throw new GranaryError("USAGE", `${JSON.stringify(project)} is not ORG/PROJECT`);
      const path = `/v1/orgs/${encodeURIComponent(org)}/projects/${encodeURIComponent(name)}/current`;
      const current = await requests.json<CurrentJson>("GET", path);
      return { ...current, cursor: current.event_seq };
    },
    snapshot: (of = {}) => fetchSnapshot(requests, of),
    events: (of = {}) => readEvents(requests, of),
    subscribe: (of) => subscribe(requests, of),
  };
}
