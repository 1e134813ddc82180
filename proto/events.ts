import { GranaryError } from "./errors.ts";
import type { Name } from "./names.ts";

/**
 * The one catalogue of events. Each is written by the state machine in the transaction of its command, carries the next
 * number `n` of its project (gap-free) and its place in the log (`seq`, `k`), and never changes.
 */
export const EVENT_TYPES = {
  "project.created": "A first publish created the project.",
  "project.held": "Later publishes become ready but do not go live.",
  "project.unheld": "The hold was released or has expired.",
  "publish.accepted": "The upload is durable; from here on the publish ends exactly once.",
  "publish.started": "A node took the publish up.",
  "publish.failed": "The publish failed; data.error has code and detail.",
  "publish.cancelled": "The publish was cancelled.",
  "publish.existing":
    "The same content was already released for this commit: the publish ended with that version.",
  "publish.overtaken":
    "A newer publish of the same channel took its place before it came to anything: data.overtaken_by.",
  "release.ready": "A version was allocated; its image can be pulled.",
  "release.activated":
    "The pointer moved to this release: data is {generation, from, to, image_digest, cause, actor}; with a reason when one was given.",
  "release.superseded": "Another release took this one's place.",
  "release.retired":
    "The release is no longer kept: its image cannot be pulled, and it cannot go live again.",
  "preview.created": "A publish made the preview; its image can be pulled until expires_at.",
  "preview.updated": "The preview shows another publish or ends at another time: data.cause.",
  "preview.expired": "The preview's time was over; its image is no longer served.",
  "preview.removed": "The preview was removed, and its unfinished publishes cancelled.",
  "preview.promoted": "The preview's artifact became the release data.version, without a rebuild.",
  "webhook.disabled":
    "Deliveries to the webhook stopped after this project's event: data is {webhook_id, failures, reason}.",
} as const;

export type EventType = keyof typeof EVENT_TYPES;

export interface EventRecord {
  /** Log position of the command, and number of the event within it. */
  readonly seq: number;
  readonly k: number;
  readonly org: Name;
  readonly project: Name;
  /** Gap-free number within the project, from 1. */
  readonly n: number;
  readonly at: string;
  readonly type: EventType;
  /** publish id or version that the event is about. */
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** CloudEvents 1.0 JSON envelope (https://github.com/cloudevents/spec). */
export interface CloudEvent {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: "application/json";
  /** CloudEvents `sequence` extension: `n`, zero-padded so that it sorts as text. */
  readonly sequence: string;
  readonly granarycursor: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export function toCloudEvent(event: EventRecord): CloudEvent {
  return {
    specversion: "1.0",
    id: `${event.org}/${event.project}/${event.n}`,
    source: `/orgs/${event.org}/projects/${event.project}`,
    type: `dev.granary.${event.type}.v1`,
    subject: event.subject,
    time: event.at,
    datacontenttype: "application/json",
    sequence: String(event.n).padStart(12, "0"),
    granarycursor: formatCursor(event),
    data: event.data,
  };
}

/** A place in an org's event feed: the events strictly behind it come next. `0-0` is the beginning. */
export interface Cursor {
  readonly seq: number;
  readonly k: number;
}

/** Behind everything that the command at `seq` brought about, and before what comes next. */
export function behindCommand(seq: number): Cursor {
  return { seq, k: LAST_OF_COMMAND };
}

/** More than any command writes events: the highest that a cursor can say. */
const LAST_OF_COMMAND = 999_999;

/** Whether a place is strictly behind another. */
export function isBehind(place: Cursor, other: Cursor): boolean {
  return place.seq > other.seq || (place.seq === other.seq && place.k > other.k);
}

export function formatCursor(cursor: Cursor): string {
  return `${cursor.seq}-${cursor.k}`;
}

/** @throws GranaryError USAGE */
export function parseCursor(text: string): Cursor {
  const match = /^([0-9]{1,15})-([0-9]{1,6})$/.exec(text);
  if (!match)
    throw new GranaryError("USAGE", `not a cursor: ${JSON.stringify(text.slice(0, 40))}`, {
      pointer: "?cursor",
      hint: "A cursor is the id of an event, such as 17-0; `0-0` is the beginning of what is kept.",
    });
  return { seq: Number(match[1]), k: Number(match[2]) };
}
