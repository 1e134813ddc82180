import { type CloudEvent, type EventRecord, type EventType, toCloudEvent } from "./events.ts";
import { parseVersion } from "./names.ts";

/** In which vocabulary events are read: ours, or that of CDEvents where it has a word. */
export const EVENT_FORMATS = ["granary", "cdevents"] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

/** https://github.com/cdevents/spec, tag v0.4.1. */
const SPEC_VERSION = "0.4.1";

/**
 * What our events are in CDEvents' vocabulary. The others keep our type: CDEvents has no word for holds, for webhooks, or for a
 * release that is no longer live, and its `build.*` would promise an end that a successful publish does not have beside its release.
 * One event is one rendering, so that order, numbers and cursors are the same in both formats: that is why `release.ready`
 * is not `artifact.packaged` too, which moreover requires a commit.
 */
export const CD_EVENTS = {
  "release.ready": ["artifact.published.0.2.0"],
  "release.activated": ["service.deployed.0.2.0", "service.upgraded.0.2.0", "service.rolledback.0.2.0"],
  "release.retired": ["artifact.deleted.0.1.0"],
  "preview.created": ["environment.created.0.2.0"],
  "preview.updated": ["environment.modified.0.2.0"],
  "preview.expired": ["environment.deleted.0.2.0"],
  "preview.removed": ["environment.deleted.0.2.0"],
} as const satisfies Partial<Record<EventType, readonly string[]>>;

/**
 * An event in a format: one that CDEvents has no word for is the same in both. Id, source, time, sequence and cursor never differ.
 * CDEvents in its CloudEvents binding, structured mode; `customData` is the whole event in our words.
 */
export function renderEvent(event: EventRecord, format: EventFormat): CloudEvent {
  const own = toCloudEvent(event);
  const rendered = format === "granary" ? undefined : toCdEvent(event);
  if (rendered === undefined) return own;
  const { source, id, time: timestamp } = own;
  const type = `dev.cdevents.${rendered.type}`;
  const subject = { ...rendered.subject, source, type: rendered.type.split(".")[0] };
  return {
    ...own,
    type,
    subject: subject.id,
    data: {
      context: { version: SPEC_VERSION, id, source, type, timestamp },
      subject,
      customData: { type: own.type, subject: own.subject, data: own.data },
      customDataContentType: "application/json",
    },
  };
}

interface Rendered {
  readonly type: (typeof CD_EVENTS)[keyof typeof CD_EVENTS][number];
  readonly subject: { readonly id: string; readonly content: object };
}

function toCdEvent(event: EventRecord): Rendered | undefined {
  switch (event.type) {
    case "release.ready":
    case "release.retired": {
      const [type] = CD_EVENTS[event.type];
      return { type, subject: { id: artifactId(event, event.subject), content: {} } };
    }
    case "release.activated": {
      const content = { environment: production(event), artifactId: artifactId(event, event.subject) };
      return { type: activationType(event), subject: { id: `${event.org}/${event.project}`, content } };
    }
    case "preview.created":
    case "preview.updated":
    case "preview.expired":
    case "preview.removed": {
      const [type] = CD_EVENTS[event.type];
      return { type, subject: { id: event.subject, content: { name: String(event.data["name"]) } } };
    }
    default:
      return undefined;
  }
}

/** An activation of an older version is a way back too, whatever it was asked for as. */
function activationType({ data }: EventRecord): (typeof CD_EVENTS)["release.activated"][number] {
  const [deployed, upgraded, rolledback] = CD_EVENTS["release.activated"];
  const { from, to, cause } = data;
  if (typeof from !== "string") return deployed;
  const isBack = (parseVersion(String(to)) ?? 0) < (parseVersion(from) ?? 0);
  return cause === "rollback" || isBack ? rolledback : upgraded;
}

/** What projects' pointers are about; previews are environments of their own. */
function production(event: EventRecord): object {
  return { id: "production", source: toCloudEvent(event).source };
}

/**
 * Package URL of a release's image (https://github.com/package-url/purl-spec, type `oci`). The version is part of it: the image of a
 * retired release may be that of another one too. No host: a farm's public name may change, a subject's id must not.
 */
function artifactId(event: EventRecord, version: string): string {
  return `pkg:oci/${event.project}@${encodeURIComponent(String(event.data["image_digest"]))}?tag=${version}`;
}
