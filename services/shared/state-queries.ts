import type { Digest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { Cursor, EventRecord } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseVersion, type Reference } from "../../proto/names.ts";
import {
  type ActivationRecord,
  type AuditRecord,
  type NodeRecord,
  type OrgRecord,
  type PreviewRecord,
  type ProjectRecord,
  type PublishRecord,
  type ReleaseRecord,
  type SessionRecord,
  type SubscriptionRecord,
  TERMINAL_STATES,
  type TokenRecord,
  type TrustRecord,
} from "../../proto/records.ts";
import type { WebhookRecord } from "../../proto/webhooks.ts";
import { formatPageCursor, parsePageCursor } from "./page-cursor.ts";
import type { KeyRange, StateKey, StateView } from "./state-db-tx.ts";
import {
  contentText,
  KEYS,
  type PreviewDigestRow,
  type PreviewExpiryRow,
  RANGES,
  type SessionExpiryRow,
} from "./state-keys.ts";

/**
 * The read model: what may be asked of the state. All of it works on one moment (`replica.read((view) => ...)`), so that
 * several answers taken in one call fit together.
 */
export interface ProjectAt {
  readonly org: Name;
  readonly project: Name;
}

export interface PageOptions {
  /** Rows of the page; {@link LIMITS.pageItems} at most and by default. */
  readonly limit?: number;
  /** `next_cursor` of the page before. */
  readonly cursor?: string;
  /** The end of the key that the page begins behind, where the caller knows it: a name, in lists by name. */
  readonly after?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export function findOrg(view: StateView, org: Name): OrgRecord | undefined {
  return view.get(KEYS.org(org));
}

export function findProject(view: StateView, at: ProjectAt): ProjectRecord | undefined {
  return view.get(KEYS.project(at));
}

/** By name. */
export function listOrgs(view: StateView, options?: PageOptions): Page<OrgRecord> {
  return page(view, RANGES.orgs(), options);
}

/** Whether publishes of the project stay inactive at `timeMs`: an expired hold stays in the record until the next command. */
export function isHeld(project: ProjectRecord, timeMs: number): boolean {
  const until = project.hold?.until;
  return project.hold !== undefined && (until === undefined || Date.parse(until) > timeMs);
}

export function findPublish(view: StateView, publishId: string): PublishRecord | undefined {
  return view.get(KEYS.publish(publishId));
}

/** A publish of the same content, for the same commit and channel, that has not failed. */
export function findTwin(
  view: StateView,
  at: ProjectAt,
  content: Parameters<typeof contentText>[0],
): PublishRecord | undefined {
  const id = view.get(KEYS.natural(at, contentText(content)));
  const twin = id === undefined ? undefined : findPublish(view, id);
  return twin?.state === "ready" || (twin !== undefined && !TERMINAL_STATES.has(twin.state))
    ? twin
    : undefined;
}

export function findRelease(view: StateView, at: ProjectAt, version: number): ReleaseRecord | undefined {
  return view.get(KEYS.release(at, version));
}

/** A preview that lives; one that has ended answers like one that never was. */
export function findPreview(view: StateView, at: ProjectAt, name: Name): PreviewRecord | undefined {
  const preview = view.get(KEYS.preview(at, name));
  return preview?.state === "ready" ? preview : undefined;
}

/** By name; those that have ended too, where `all`. */
export function listPreviews(
  view: StateView,
  at: ProjectAt,
  options: PageOptions & { all?: boolean } = {},
): Page<PreviewRecord> {
  const fits = options.all === true ? undefined : (row: PreviewRecord): boolean => row.state === "ready";
  return page(view, RANGES.previews(at), { ...options, fits });
}

/** Living previews whose end has come, those that ended first first. */
export function listDuePreviews(view: StateView, nowMs: number, limit: number): PreviewExpiryRow[] {
  return dueRows(view, RANGES.previewExpiry(), { nowMs, limit });
}

/** A session that lives. */
export function findSession(view: StateView, at: ProjectAt, sessionId: string): SessionRecord | undefined {
  return view.get(KEYS.session(at, sessionId));
}

/** By id. */
export function listSessions(view: StateView, at: ProjectAt, options?: PageOptions): Page<SessionRecord> {
  return page(view, RANGES.sessions(at), options);
}

/** Living sessions whose end has come, those that ended first first. */
export function listDueSessions(view: StateView, nowMs: number, limit: number): SessionExpiryRow[] {
  return dueRows(view, RANGES.sessionExpiry(), { nowMs, limit });
}

/** The rows are sorted by their time. */
function dueRows<T extends { readonly expires_at: string }>(
  view: StateView,
  range: KeyRange<T>,
  { nowMs, limit }: { nowMs: number; limit: number },
): T[] {
  const due: T[] = [];
  for (const { value } of view.range(range, { limit })) {
    if (Date.parse(value.expires_at) > nowMs) break;
    due.push(value);
  }
  return due;
}

/** The release that is live. */
export function findCurrentRelease(view: StateView, at: ProjectAt): ReleaseRecord | undefined {
  const current = findProject(view, at)?.current;
  const version = current === undefined || current === null ? undefined : parseVersion(current);
  return version === undefined ? undefined : findRelease(view, at, version);
}

/**
 * The release that a reference names; `O/P` alone means the live one, a commit the newest release made from it.
 * @throws GranaryError USAGE when the beginning of a commit fits several commits
 */
export function resolveReference(view: StateView, reference: Reference): ReleaseRecord | undefined {
  const { target } = reference;
  switch (target.kind) {
    case "version":
      return findRelease(view, reference, target.version);
    case "none":
    case "current":
      return findCurrentRelease(view, reference);
    case "commit":
      return findReleaseOfCommit(view, reference, target.commit);
    case "preview":
      return undefined;
  }
}

function findReleaseOfCommit(view: StateView, at: ProjectAt, prefix: string): ReleaseRecord | undefined {
  const range = RANGES.releasesOfCommit(at, prefix);
  const [first] = view.range(range, { limit: 1 });
  const [last] = view.range(range, { limit: 1, reverse: true });
  if (first === undefined || last === undefined) return undefined;
  const matches = [first, last].map((row) => row.key.split("/")[3] ?? "");
  if (matches[0] !== matches[1]) {
    throw new GranaryError("USAGE", `${prefix} is the beginning of several commits`, { matches });
  }
  // The newest that is kept; where none is, the newest says that it has been retired.
  for (const { value } of view.range(range, { reverse: true, limit: LIMITS.pageItems })) {
    const release = findRelease(view, at, value);
    if (release !== undefined && release.state !== "retired") return release;
  }
  return findRelease(view, at, last.value);
}

export function findSubscription(view: StateView, org: Name, group: Name): SubscriptionRecord | undefined {
  return view.get(KEYS.subscription(org, group));
}

export function listSubscriptions(
  view: StateView,
  org: Name,
  options?: PageOptions & { fits?: (row: SubscriptionRecord) => boolean },
): Page<SubscriptionRecord> {
  return page(view, RANGES.subscriptions(org), options);
}

/** The newest events of an org or of one project of it, the newest first. */
export function listNewestEvents(
  view: StateView,
  of: { org: Name; project?: Name },
  limit: number,
): readonly EventRecord[] {
  const { org, project } = of;
  const range = project === undefined ? RANGES.orgEvents(org) : RANGES.projectEvents({ org, project });
  const rows = [...view.range(range, { limit, reverse: true })];
  return rows.flatMap((row) => view.get(row.value as StateKey<EventRecord>) ?? []);
}

/** Behind the newest event of an org, or of one project of it. */
export function newestCursor(view: StateView, of: { org: Name; project?: Name }): Cursor {
  const [event] = listNewestEvents(view, of, 1);
  return event === undefined ? { seq: 0, k: 0 } : { seq: event.seq, k: event.k };
}

export function findToken(view: StateView, org: Name, tokenId: string): TokenRecord | undefined {
  return view.get(KEYS.token(org, tokenId));
}

/** As {@link findUsableToken}, by its hash. */
export function findTokenByHash(view: StateView, hash: string): TokenRecord | undefined {
  const at = view.get(KEYS.tokenByHash(hash));
  return at === undefined ? undefined : findUsableToken(view, at.org, at.id);
}

/**
 * Revoked and expired ones too: what a token may do is the caller's question. One that was issued for a trust is gone when
 * the trust is.
 */
export function findUsableToken(view: StateView, org: Name, tokenId: string): TokenRecord | undefined {
  const token = findToken(view, org, tokenId);
  const orphaned = token?.trust !== undefined && findTrust(view, token.org, token.trust) === undefined;
  return orphaned ? undefined : token;
}

export function findTrust(view: StateView, org: Name, trustId: string): TrustRecord | undefined {
  return view.get(KEYS.trust(org, trustId));
}

/** Oldest first. */
export function listTrusts(view: StateView, org: Name, options?: PageOptions): Page<TrustRecord> {
  return page(view, RANGES.trusts(org), options);
}

/** Whether an id token was exchanged, by the hash of its issuer and `jti`. */
export function isIdTokenUsed(view: StateView, jti: string): boolean {
  return view.get(KEYS.usedIdToken(jti)) !== undefined;
}

/** Why the repository serves a digest, a release or a living preview; undefined: it does not (ruling 8). */
export function findRepositoryDigest(
  view: StateView,
  at: ProjectAt,
  digest: Digest,
): PreviewDigestRow | undefined {
  const [preview] = view.range(RANGES.previewDigests(at, digest), { limit: 1 });
  return view.get(KEYS.repositoryDigest(at, digest)) ?? preview?.value;
}

export function listProjects(view: StateView, org: Name, options?: PageOptions): Page<ProjectRecord> {
  return page(view, RANGES.projects(org), options);
}

/** Newest first. */
export function listPublishes(view: StateView, at: ProjectAt, options?: PageOptions): Page<PublishRecord> {
  const ids = page(view, RANGES.projectPublishes(at), { ...options, reverse: true });
  return { ...ids, items: ids.items.flatMap((id) => findPublish(view, id) ?? []) };
}

/** Newest first. */
export function listReleases(view: StateView, at: ProjectAt, options?: PageOptions): Page<ReleaseRecord> {
  return page(view, RANGES.releases(at), { ...options, reverse: true });
}

/**
 * The activation that was in force at `timeMs`: at its own millisecond it is, and of several within one the last. The log's time never
 * goes back, so it is a binary search.
 */
export function findActivationAt(
  view: StateView,
  project: ProjectRecord,
  timeMs: number,
): ActivationRecord | undefined {
  let found: ActivationRecord | undefined;
  for (let low = 1, high = project.generation; low <= high; ) {
    const middle = (low + high) >> 1;
    const activation = findActivation(view, project, middle);
    if (activation !== undefined && Date.parse(activation.at) <= timeMs) {
      found = activation;
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}

export function findActivation(
  view: StateView,
  at: ProjectAt,
  generation: number,
): ActivationRecord | undefined {
  return view.get(KEYS.history(at, generation));
}

/** Activations, newest first. */
export function listHistory(view: StateView, at: ProjectAt, options?: PageOptions): Page<ActivationRecord> {
  return page(view, RANGES.history(at), { ...options, reverse: true });
}

/** Newest first; of one project only, where it is given. */
export function listAudit(
  view: StateView,
  org: Name,
  options: PageOptions & { project?: string | undefined } = {},
): Page<AuditRecord> {
  const { project } = options;
  const fits = project === undefined ? undefined : (row: AuditRecord): boolean => row.project === project;
  return page(view, RANGES.audit(org), { ...options, fits, reverse: true });
}

export function listTokens(view: StateView, org: Name, options?: PageOptions): Page<TokenRecord> {
  return page(view, RANGES.tokens(org), options);
}

export function findWebhook(view: StateView, org: Name, webhookId: string): WebhookRecord | undefined {
  return view.get(KEYS.webhook(org, webhookId));
}

export function listWebhooks(view: StateView, org: Name, options?: PageOptions): Page<WebhookRecord> {
  return page(view, RANGES.webhooks(org), options);
}

/** Events strictly behind a cursor, oldest first, of an org or of one project of it; `limit` at most. */
export function listEvents(
  view: StateView,
  of: { org: Name; project?: Name },
  options: { after: Cursor; limit?: number },
): readonly EventRecord[] {
  const { org, project } = of;
  const limit = Math.min(options.limit ?? LIMITS.pageItems, LIMITS.pageItems);
  const [range, after] =
    project === undefined
      ? [RANGES.orgEvents(org), KEYS.orgEvent(org, options.after)]
      : [RANGES.projectEvents({ org, project }), KEYS.projectEvent({ org, project }, options.after)];
  const rows = [...view.range(range, { after, limit })];
  return rows.flatMap((row) => view.get(row.value as StateKey<EventRecord>) ?? []);
}

/** What operators set of a node; undefined: nothing. */
export function findNode(view: StateView, node: Name): NodeRecord | undefined {
  return view.get(KEYS.node(node));
}

/** Orgs with publishes that have not ended, how many, and how many of those wait for a turn of their project. */
export function listBacklogs(
  view: StateView,
): readonly { readonly org: Name; readonly publishes: number; readonly waiting: number }[] {
  const rows = [...view.range(RANGES.backlogs())];
  return rows.flatMap(({ key, value: publishes }) => {
    if (publishes <= 0) return [];
    const org = key.slice("backlog/".length) as Name;
    return [{ org, publishes, waiting: view.get(KEYS.orgWaiting(org)) ?? 0 }];
  });
}

/**
 * A cursor is the key's own end: stable while rows come and go, and refused by another list. Where only some rows fit,
 * {@link LIMITS.scannedRows} are looked at: such a page may have few rows or none, and its cursor leads on.
 * @throws GranaryError USAGE
 */
function page<T>(
  view: StateView,
  range: KeyRange<T>,
  options: PageOptions & { reverse?: boolean; fits?: ((row: T) => boolean) | undefined } = {},
): Page<T> {
  const limit = Math.max(1, Math.min(options.limit ?? LIMITS.pageItems, LIMITS.pageItems));
  const { cursor, reverse = false, fits = () => true } = options;
  const behind = cursor === undefined ? options.after : parsePageCursor(range.start, cursor);
  const after = behind === undefined ? {} : { after: `${range.start}${behind}` };
  const items: T[] = [];
  let last = "";
  let looked = 0;
  for (const row of view.range(range, { reverse, limit: LIMITS.scannedRows + 1, ...after })) {
    if (items.length === limit || looked === LIMITS.scannedRows)
      return { items, next_cursor: formatPageCursor(range.start, last.slice(range.start.length)) };
    if (fits(row.value)) items.push(row.value);
    last = row.key;
    looked += 1;
  }
  return { items, next_cursor: null };
}
