import type { AcceptCommand, CommandBody } from "../../proto/commands.ts";
import {
  expire,
  goLive,
  isStale,
  type ModelPreview,
  type ModelProject,
  type ModelPublish,
  sameRelease,
} from "./model-project.ts";

/** The part of the model that is about previews, and publishes that give way to newer ones. */
const DEFAULT_TTL_MS = 72 * 3_600_000;

export function setPreview(
  project: ModelProject,
  publish: ModelPublish,
  now: { image: string; timeMs: number },
): void {
  const shown = project.previews.get(publish.body.channel);
  if (shown !== undefined && shown.publish.order > publish.order) {
    overtake(publish, shown.publish.id);
    return;
  }
  publish.state = "ready";
  const living = shown?.state === "ready" ? shown : undefined;
  const ttlMs = publish.body.preview_ttl_ms ?? living?.ttlMs ?? DEFAULT_TTL_MS;
  const pinned = living?.endsMs === Number.POSITIVE_INFINITY;
  project.previews.set(publish.body.channel, {
    state: "ready",
    publish,
    image: now.image,
    ttlMs,
    endsMs: pinned ? Number.POSITIVE_INFINITY : now.timeMs + ttlMs,
  });
}

export function slide(project: ModelProject, body: AcceptCommand, timeMs: number): void {
  const preview = project.previews.get(body.channel);
  if (preview?.state !== "ready" || preview.endsMs === Number.POSITIVE_INFINITY) return;
  preview.ttlMs = body.preview_ttl_ms ?? preview.ttlMs;
  preview.endsMs = timeMs + preview.ttlMs;
}

/** The newest publish of a living preview, or one on its way to it; every publish of production. */
export function isShown(project: ModelProject, publish: ModelPublish): boolean {
  const { channel } = publish.body;
  if (channel === "production") return true;
  const newest = project.publishes.filter((other) => other.body.channel === channel).at(-1);
  if (newest !== publish) return false;
  return publish.state !== "ready" || project.previews.get(channel)?.state === "ready";
}

/** Ends what waits in the channel of a publish that is accepted now, as far as it may be overtaken. */
export function overtakeQueued(project: ModelProject, body: AcceptCommand): void {
  for (const earlier of project.publishes) {
    const { channel } = earlier.body;
    const gives = earlier.yields || channel !== "production";
    if (gives && earlier.state === "queued" && channel === body.channel) overtake(earlier, body.publish_id);
  }
}

function overtake(publish: ModelPublish, by: string): void {
  publish.state = "overtaken";
  publish.overtakenBy = by;
}

type PreviewBody = Extract<CommandBody, { type: `preview.${string}` }>;

/** What the commands `preview.*` come to. */
export function ofPreview(
  project: ModelProject,
  body: PreviewBody,
  at: { seq: number; timeMs: number },
): string {
  const preview = project.previews.get(`preview/${body.name}`);
  const living = preview?.state === "ready" ? preview : undefined;
  switch (body.type) {
    case "preview.remove":
      return remove(project, living, `preview/${body.name}`);
    case "preview.expire": {
      const isDue = living?.endsMs === Date.parse(body.expires_at) && living.endsMs <= at.timeMs;
      if (isDue) living.state = "expired";
      return isDue ? "changed" : "unchanged";
    }
    case "preview.promote":
      if (isStale(project, body.expected_generation)) return "GENERATION_STALE";
      return living === undefined ? "NOT_FOUND" : promote(project, living, { body, ...at });
    case "preview.pin":
    case "preview.extend":
      return living === undefined ? "NOT_FOUND" : changeEnd(living, body, at.timeMs);
  }
}

function remove(project: ModelProject, living: ModelPreview | undefined, channel: string): string {
  const coming = project.publishes.filter(
    (publish) => publish.body.channel === channel && ["queued", "ingesting"].includes(publish.state),
  );
  if (living === undefined && coming.length === 0) return "NOT_FOUND";
  for (const publish of coming) publish.state = "cancelled";
  if (living !== undefined) living.state = "removed";
  return "changed";
}

function changeEnd(
  preview: ModelPreview,
  body: Extract<PreviewBody, { type: "preview.pin" | "preview.extend" }>,
  timeMs: number,
): string {
  const { ttlMs, endsMs } = preview;
  if (body.type === "preview.extend") preview.ttlMs = body.ttl_ms ?? ttlMs;
  preview.endsMs = body.type === "preview.pin" ? Number.POSITIVE_INFINITY : timeMs + preview.ttlMs;
  return preview.endsMs === endsMs && preview.ttlMs === ttlMs ? "unchanged" : "changed";
}

function promote(
  project: ModelProject,
  preview: ModelPreview,
  now: { body: { activate: boolean }; seq: number; timeMs: number },
): string {
  expire(project, now.timeMs);
  const { commit } = preview.publish.body;
  const same = sameRelease(project, preview.image, commit);
  if (same > 0) return `existing v${same}`;
  const version = project.releases.push({ image: preview.image, commit, order: now.seq });
  if (now.body.activate && !project.isHeld(now.timeMs)) goLive(project, version);
  return `new v${version}`;
}
