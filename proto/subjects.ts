import type { EventType } from "./events.ts";
import type { Name } from "./names.ts";

/** Streams, subjects and consumers: the one table of the bus. Org and project are names, hence safe as single tokens. */
export const STREAMS = {
  commands: "GRANARY_COMMANDS",
  events: "GRANARY_EVENTS",
  publishJobs: "GRANARY_JOBS_PUBLISH",
  digests: "GRANARY_DIGESTS",
  hooks: "GRANARY_HOOKS",
  deliveries: "GRANARY_DELIVERIES",
} as const;

/** Accounts of the nats-server. Subscribers have one of their own, without JetStream: it hears events and can ask for nothing. */
export const NATS_ACCOUNTS = { farm: "FARM", subscribers: "SUBSCRIBERS", system: "SYS" } as const;

export const LANES = ["prod"] as const;
export type Lane = (typeof LANES)[number];

export const SUBJECTS = {
  allCommands: "granary.commands.>",
  allEvents: "granary.events.>",
  allPublishJobs: "granary.jobs.publish.>",
  allDigests: "granary.digests.>",
  /** Which process delivers webhooks, and how far each webhook is: the last message of each subject counts. */
  hooks: "granary.hooks",
  /** Attempts of webhooks, by org and webhook. */
  deliveries: "granary.deliveries",
} as const;

export function commandSubject(org: Name, project: Name | undefined): string {
  return `granary.commands.${org}.${project ?? "_"}`;
}

export function eventSubject(event: { org: Name; project: Name; type: EventType }): string {
  return `granary.events.${event.org}.${event.project}.${event.type}`;
}

/** All events of an org, or of one project of it. */
export function eventsOf(of: { org: Name; project?: Name | undefined }): string {
  return of.project === undefined ? `granary.events.${of.org}.>` : `granary.events.${of.org}.${of.project}.>`;
}

/** One subject per state that replicas compare: of one log, one version of the state machine, one position. */
export function digestSubject(at: { epoch: string; stateVersion: number; seq: number }): string {
  return `granary.digests.${at.epoch}.${at.stateVersion}.${at.seq}`;
}

/** One subject per lane and org: quotas and fairness are per subject. */
export function publishJobSubject(lane: Lane, org: Name): string {
  return `granary.jobs.publish.${lane}.${org}`;
}

export function publishConsumer(lane: Lane, org: Name): string {
  return `publish_${lane}_${org}`;
}

/** A job carries names and digests, never content. */
export interface PublishJob {
  readonly v: 1;
  readonly publish_id: string;
  readonly org: Name;
  readonly project: Name;
  /** Log position of the accept command: a node waits until its replica has applied it. */
  readonly order: number;
  /** That of the command which gave it its turn, when that came later (`max_concurrency`): likewise. */
  readonly turn?: number;
}
