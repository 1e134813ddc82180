import { createHash } from "node:crypto";
import type { CommandResult } from "../../proto/commands.ts";
import type { Digest } from "../../proto/digest.ts";
import { digestHex } from "../../proto/digest.ts";
import type { EventRecord } from "../../proto/events.ts";
import type { Name } from "../../proto/names.ts";
import type { SealedLog } from "../../proto/publish-log.ts";
import type {
  ActivationRecord,
  AuditRecord,
  Channel,
  HoldRecord,
  NodeRecord,
  OrgRecord,
  PreviewRecord,
  ProjectRecord,
  PublishRecord,
  ReleaseRecord,
  SessionRecord,
  SubscriptionRecord,
  TokenRecord,
  TrustRecord,
} from "../../proto/records.ts";
import type { Lane } from "../../proto/subjects.ts";
import type { WebhookRecord } from "../../proto/webhooks.ts";
import type { KeyRange, StateKey } from "./state-db-tx.ts";

/**
 * The key scheme of the replicated state: one ordered map of ASCII keys. Numbers are zero-padded, so that text order is
 * number order; names cannot contain `/`. Changing a key changes the state digest: raise {@link STATE_VERSION} with it.
 */
export const STATE_VERSION = 1;

export interface StateMeta {
  readonly version: number;
  /** Position of the last applied command. */
  readonly seq: number;
  /** Log time: never goes back. */
  readonly time_ms: number;
}

/** What an idempotency key is bound to. */
export interface IdempotencyRow {
  readonly publish_id: string;
  readonly content: string;
  readonly expires_ms: number;
}

export interface WorkRow {
  readonly publish_id: string;
  readonly org: Name;
  readonly project: Name;
  readonly order: number;
  readonly created_ms: number;
  /** Log position of the command that gave it its turn, where that was not its accept. */
  readonly turn?: number;
}

export interface TurnRow {
  readonly org: Name;
  readonly order: number;
}

/** Why a repository may serve a digest. */
export interface RepositoryDigestRow {
  readonly kind: "manifest" | "config" | "layer";
  readonly media_type: string;
  readonly size: number;
  /** The first release that referenced it. */
  readonly version: string;
  /** Kept releases that reference it; counted from the project's first retirement on. */
  readonly refs?: number;
}

/** Why a repository serves a digest while a preview lives. */
export type PreviewDigestRow = Omit<RepositoryDigestRow, "version" | "refs">;

/** When a preview ends. */
export interface PreviewExpiryRow {
  readonly org: Name;
  readonly project: Name;
  readonly name: Name;
  readonly expires_at: string;
}

/** When a session ends. */
export interface SessionExpiryRow {
  readonly org: Name;
  readonly project: Name;
  readonly session_id: string;
  readonly expires_at: string;
}

/** The stored log of a publish; removes itself when its time is over. */
export interface PublishLogRow extends SealedLog {
  readonly org: Name;
  readonly project: Name;
  readonly publish_id: string;
}

export interface CommandRow {
  readonly result: CommandResult;
  readonly time_ms: number;
}

interface In {
  readonly org: Name;
  readonly project: Name;
}

export const KEYS = {
  meta: (): StateKey<StateMeta> => key("meta"),
  org: (org: Name): StateKey<OrgRecord> => key("org", org),
  /** Publishes of the org that have not ended. */
  backlog: (org: Name): StateKey<number> => key("backlog", org),
  /** A hold on all projects of the org, and on those of all orgs; one whose end has passed holds no more. */
  orgHold: (org: Name): StateKey<HoldRecord> => key("org-hold", org),
  farmHold: (): StateKey<HoldRecord> => key("farm-hold"),
  project: (at: In): StateKey<ProjectRecord> => key("project", at.org, at.project),
  publish: (publishId: string): StateKey<PublishRecord> => key("publish", publishId),
  projectPublish: (at: In, order: number): StateKey<string> =>
    key("publishes", at.org, at.project, seqText(order)),
  work: (lane: Lane, org: Name, order: number): StateKey<WorkRow> => key("work", lane, org, seqText(order)),
  /** How many publishes of a project are `work`; only where `max_concurrency` is set. */
  turns: (at: In): StateKey<number> => key("turns", at.org, at.project),
  /** Those that are not, because all turns of their project are taken. */
  waitingWork: (at: In, order: number): StateKey<WorkRow> =>
    key("waiting-work", at.org, at.project, seqText(order)),
  /** How many those are in an org. */
  orgWaiting: (org: Name): StateKey<number> => key("org-waiting", org),
  /** A turn that came later than its publish, until that ends: what the relay looks for. */
  turnGiven: (seq: number, at: { org: Name; order: number }): StateKey<TurnRow> =>
    key("turn-given", seqText(seq), at.org, seqText(at.order)),
  idempotency: (at: In, idempotencyKey: string): StateKey<IdempotencyRow> =>
    key("idempotency", at.org, at.project, createHash("sha256").update(idempotencyKey).digest("hex")),
  idempotencyExpiry: (expiresMs: number, seq: number): StateKey<string> =>
    key("idempotency-expiry", seqText(expiresMs), seqText(seq)),
  natural: (at: In, content: string): StateKey<string> => key("natural", at.org, at.project, content),
  image: (at: In, artifact: { channel: Channel; commit: string | null; image: Digest }): StateKey<string> =>
    key("image", at.org, at.project, artifact.channel, artifact.commit ?? "", digestHex(artifact.image)),
  release: (at: In, version: number): StateKey<ReleaseRecord> =>
    key("release", at.org, at.project, versionText(version)),
  releaseOfCommit: (at: In, commit: string, version: number): StateKey<number> =>
    key("commit", at.org, at.project, commit, versionText(version)),
  repositoryDigest: (at: In, digest: Digest): StateKey<RepositoryDigestRow> =>
    key("digest", at.org, at.project, digestHex(digest)),
  /** Publishes that have not ended, in channels whose queued publishes are overtaken. */
  channelWork: (at: In, channel: Channel, order: number): StateKey<string> =>
    key("channel-work", at.org, at.project, channel, seqText(order)),
  preview: (at: In, name: Name): StateKey<PreviewRecord> => key("preview", at.org, at.project, name),
  /** Order of the newest publish that was accepted for the preview. */
  previewTip: (at: In, name: Name): StateKey<number> => key("preview-tip", at.org, at.project, name),
  previewExpiry: (expiresMs: number, at: In, name: Name): StateKey<PreviewExpiryRow> =>
    key("preview-expiry", seqText(expiresMs), at.org, at.project, name),
  previewDigest: (at: In, digest: Digest, name: Name): StateKey<PreviewDigestRow> =>
    key("preview-digest", at.org, at.project, digestHex(digest), name),
  /** Projects that let go of releases: name of the org and the project. */
  retention: (at: In): StateKey<{ readonly org: Name; readonly project: Name }> =>
    key("retention", at.org, at.project),
  session: (at: In, sessionId: string): StateKey<SessionRecord> =>
    key("session", at.org, at.project, sessionId),
  sessionExpiry: (expiresMs: number, at: In, sessionId: string): StateKey<SessionExpiryRow> =>
    key("session-expiry", seqText(expiresMs), at.org, at.project, sessionId),
  subscription: (org: Name, group: Name): StateKey<SubscriptionRecord> => key("subscription", org, group),
  /** Living sessions of the project; absent: none. */
  sessionCount: (at: In): StateKey<number> => key("session-count", at.org, at.project),
  /** Living sessions that are pinned to the release; absent: none. */
  sessionPins: (at: In, version: number): StateKey<number> =>
    key("session-pins", at.org, at.project, versionText(version)),
  history: (at: In, generation: number): StateKey<ActivationRecord> =>
    key("history", at.org, at.project, generationText(generation)),
  audit: (org: Name, at: { seq: number; k: number }): StateKey<AuditRecord> =>
    key("audit", org, placeText(at)),
  event: (at: { seq: number; k: number }): StateKey<EventRecord> => key("event", placeText(at)),
  /** Key of the event itself. */
  orgEvent: (org: Name, at: { seq: number; k: number }): StateKey<string> =>
    key("org-event", org, placeText(at)),
  projectEvent: (at: In, place: { seq: number; k: number }): StateKey<string> =>
    key("project-event", at.org, at.project, placeText(place)),
  command: (commandId: string): StateKey<CommandRow> => key("command", commandId),
  commandAt: (seq: number): StateKey<{ id: string; time_ms: number }> => key("command-at", seqText(seq)),
  /** Of commands whose results are kept for a short while only. */
  briefCommandAt: (seq: number): StateKey<{ id: string; time_ms: number }> =>
    key("brief-command-at", seqText(seq)),
  token: (org: Name, tokenId: string): StateKey<TokenRecord> => key("token", org, tokenId),
  tokenByHash: (hash: string): StateKey<{ org: Name; id: string }> => key("token-hash", hash),
  node: (node: Name): StateKey<NodeRecord> => key("node", node),
  trust: (org: Name, trustId: string): StateKey<TrustRecord> => key("trust", org, trustId),
  /** An id token that was exchanged. */
  usedIdToken: (jti: string): StateKey<{ org: Name; token_id: string }> => key("jti", jti),
  /** Keys of rows that are removed when their time is over. */
  rowExpiry: (expiresMs: number, at: { seq: number; k: number }): StateKey<readonly string[]> =>
    key("row-expiry", seqText(expiresMs), placeText(at)),
  /** Places in the log that restores have undone, of all orgs. */
  lostPlaces: (): StateKey<readonly { readonly after: number; readonly through: number }[]> =>
    key("lost-places"),
  /** The last event of the org that is no longer kept, and how many went in all. */
  eventsTrimmed: (org: Name): StateKey<{ readonly through: string; readonly count: number }> =>
    key("events-trimmed", org),
  publishLog: (publishId: string): StateKey<PublishLogRow> => key("publish-log", publishId),
  webhook: (org: Name, webhookId: string): StateKey<WebhookRecord> => key("webhook", org, webhookId),
} as const;

/** Ranges over whole families of rows. */
export const RANGES = {
  orgs: (): KeyRange<OrgRecord> => below("org"),
  projects: (org: Name): KeyRange<ProjectRecord> => below("project", org),
  projectPublishes: (at: In): KeyRange<string> => below("publishes", at.org, at.project),
  work: (lane: Lane): KeyRange<WorkRow> => below("work", lane),
  orgWork: (lane: Lane, org: Name): KeyRange<WorkRow> => below("work", lane, org),
  backlogs: (): KeyRange<number> => below("backlog"),
  waitingWork: (at: In): KeyRange<WorkRow> => below("waiting-work", at.org, at.project),
  /** Those that were given behind one place in the log, and up to another. */
  turnsGiven: (behindSeq: number, lastSeq: number): KeyRange<TurnRow> => ({
    start: `turn-given/${seqText(behindSeq + 1)}` as StateKey<TurnRow>,
    end: `turn-given/${seqText(lastSeq + 1)}`,
  }),
  idempotencyExpiry: (): KeyRange<string> => below("idempotency-expiry"),
  /** Of the whole farm. */
  allReleases: (): KeyRange<ReleaseRecord> => below("release"),
  allPreviews: (): KeyRange<PreviewRecord> => below("preview"),
  publishLogs: (): KeyRange<PublishLogRow> => below("publish-log"),
  releases: (at: In): KeyRange<ReleaseRecord> => below("release", at.org, at.project),
  /** `prefix` is the beginning of a commit. */
  releasesOfCommit: (at: In, prefix: string): KeyRange<number> => {
    const start = `commit/${at.org}/${at.project}/${prefix}`;
    return { start: start as StateKey<number>, end: `${start}~` };
  },
  channelWork: (at: In, channel: Channel): KeyRange<string> =>
    below("channel-work", at.org, at.project, channel),
  previews: (at: In): KeyRange<PreviewRecord> => below("preview", at.org, at.project),
  previewExpiry: (): KeyRange<PreviewExpiryRow> => below("preview-expiry"),
  previewDigests: (at: In, digest: Digest): KeyRange<PreviewDigestRow> =>
    below("preview-digest", at.org, at.project, digestHex(digest)),
  retentions: (): KeyRange<{ readonly org: Name; readonly project: Name }> => below("retention"),
  subscriptions: (org: Name): KeyRange<SubscriptionRecord> => below("subscription", org),
  sessions: (at: In): KeyRange<SessionRecord> => below("session", at.org, at.project),
  sessionExpiry: (): KeyRange<SessionExpiryRow> => below("session-expiry"),
  history: (at: In): KeyRange<ActivationRecord> => below("history", at.org, at.project),
  audit: (org: Name): KeyRange<AuditRecord> => below("audit", org),
  events: (): KeyRange<EventRecord> => below("event"),
  orgEvents: (org: Name): KeyRange<string> => below("org-event", org),
  projectEvents: (at: In): KeyRange<string> => below("project-event", at.org, at.project),
  commandsInOrder: (): KeyRange<{ id: string; time_ms: number }> => below("command-at"),
  briefCommandsInOrder: (): KeyRange<{ id: string; time_ms: number }> => below("brief-command-at"),
  tokens: (org: Name): KeyRange<TokenRecord> => below("token", org),
  trusts: (org: Name): KeyRange<TrustRecord> => below("trust", org),
  rowExpiry: (): KeyRange<readonly string[]> => below("row-expiry"),
  webhooks: (org?: Name): KeyRange<WebhookRecord> =>
    org === undefined ? below("webhook") : below("webhook", org),
} as const;

/**
 * What makes two publishes the same content: everything that decides the tree, and the commit and channel it is for.
 * `strip` belongs to it because it changes the tree of one and the same archive.
 */
export function contentText(publish: {
  readonly channel: Channel;
  readonly commit: string | null;
  readonly upload: { readonly digest: Digest };
  readonly strip?: number;
}): string {
  return [
    publish.channel,
    publish.commit ?? "",
    digestHex(publish.upload.digest),
    String(publish.strip ?? 0),
  ].join("/");
}

/** 15 digits hold every safe integer that a log position or a time in ms can become. */
function seqText(value: number): string {
  return String(value).padStart(15, "0");
}

function versionText(version: number): string {
  return String(version).padStart(9, "0");
}

function generationText(generation: number): string {
  return String(generation).padStart(12, "0");
}

/** A place in the log: sequence and number within the command. */
function placeText(at: { seq: number; k: number }): string {
  return `${seqText(at.seq)}/${String(at.k).padStart(4, "0")}`;
}

function key<T>(...parts: readonly string[]): StateKey<T> {
  return parts.join("/") as StateKey<T>;
}

/** `0` is the character behind `/`: the end of everything below a prefix. */
function below<T>(...parts: readonly string[]): KeyRange<T> {
  const prefix = parts.join("/");
  return { start: `${prefix}/` as StateKey<T>, end: `${prefix}0` };
}
