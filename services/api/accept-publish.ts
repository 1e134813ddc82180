import { previewChannel } from "../../proto/channel.ts";
import type { Digest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { PublishJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Channel, PublishRecord, UploadRecord } from "../../proto/records.ts";
import type { HttpReply, HttpRequest } from "../shared/http-server.ts";
import { overQuota } from "../shared/over-quota.ts";
import { findProject, findPublish, findTwin } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import type { ApiContext } from "./context.ts";
import type { PreviewTarget } from "./preview-target.ts";
import { renderPublish } from "./render.ts";
import { principalOf, type Scoped, submitFor } from "./request.ts";
import { waitForPublish } from "./wait.ts";

/** What a publisher says about a publish beside its content. */
export interface PublishOptions {
  readonly commit: string | null;
  readonly source: string | undefined;
  readonly dirty: boolean | undefined;
  readonly activate: boolean;
  readonly forceNew: boolean;
  readonly strip: number;
  /** Publish to this preview instead of making a release. */
  readonly preview: PreviewTarget | undefined;
}

/** The publish that answers a request; `isNew`: this request began it, rather than joined or found it. */
export interface Answering {
  readonly publishId: string;
  readonly isNew: boolean;
}

/**
 * Names an upload that is durable by an `accept` command.
 * @returns the publish that answers it: this one, or one with the same content
 * @throws GranaryError the refusal; OUTCOME_UNKNOWN; UNAUTHENTICATED when the token was revoked while the content was sent
 */
export async function acceptPublish(
  context: ApiContext,
  request: HttpRequest,
  about: {
    where: Scoped;
    options: PublishOptions;
    key: string | undefined;
    publishId: string;
    upload: UploadRecord;
    knownOnly?: boolean;
  },
): Promise<Answering> {
  const { where, options, key, publishId, upload } = about;
  principalOf(context, request);
  const value = await submitFor(context, request, {
    principal: where.principal,
    org: where.org,
    project: where.project,
    anew: true,
    body: {
      type: "accept",
      publish_id: publishId,
      upload,
      channel: channelOf(options),
      ...(options.preview?.ttlMs === undefined ? {} : { preview_ttl_ms: options.preview.ttlMs }),
      commit: options.commit,
      ...(options.source === undefined ? {} : { source: options.source }),
      ...(options.dirty === undefined ? {} : { dirty: options.dirty }),
      activate: options.activate && options.preview === undefined,
      ...(options.strip === 0 ? {} : { strip: options.strip }),
      ...(key === undefined ? {} : { idempotency_key: key, keeps_overtaken: true }),
      ...(options.forceNew ? { force_new: true } : {}),
      ...(about.knownOnly === true ? { known_only: true } : {}),
      create: { org: where.principal.scopes.has("farm:admin"), project: true },
    },
  });
  if (value.type !== "accepted") throw new GranaryError("INTERNAL", `accept came to ${value.type}`);
  return { publishId: value.publish_id, isNew: value.outcome === "new" };
}

/**
 * The publish that answers an announced upload without its body: the project has that content already, for the same commit and channel
 * (ruling 8: nothing else tells). This replica only guesses it; the command decides, and binds the key.
 */
export async function acceptKnown(
  context: ApiContext,
  request: HttpRequest,
  about: { where: Scoped; options: PublishOptions; key: string | undefined; announced: Digest },
): Promise<Answering | undefined> {
  const { where, options, announced } = about;
  if (options.forceNew) return undefined;
  const channel = channelOf(options);
  const content = { channel, commit: options.commit, strip: options.strip, upload: { digest: announced } };
  const twin = context.read((view) => findTwin(view, where, content));
  if (twin === undefined) return undefined;
  try {
    return await acceptPublish(context, request, {
      ...about,
      publishId: newId("pub"),
      upload: twin.upload,
      knownOnly: true,
    });
  } catch (error) {
    if (error instanceof GranaryError && error.code === "STATE_CONFLICT") return undefined;
    throw error;
  }
}

function channelOf({ preview }: PublishOptions): Channel {
  return preview === undefined ? "production" : previewChannel(preview.name);
}

/** Before the body is received. @throws GranaryError QUOTA_EXCEEDED */
export function refuseOverQuota(context: ApiContext, where: Scoped, bytes: number): void {
  const project = context.read((view) => findProject(view, where));
  const over = project === undefined ? undefined : overQuota(project, bytes);
  if (over !== undefined) throw over;
}

/** A publish that cannot be accepted is refused before its body is received. @throws GranaryError UNAVAILABLE, STORE_FULL */
export function refuseWhenUnwell(context: ApiContext): void {
  context.assertRoom();
  const problems = context.problems();
  if (problems.length > 0)
    throw new GranaryError("UNAVAILABLE", `the farm cannot take publishes now: ${problems.join(", ")}`, {
      retry_after_s: 1,
    });
}

/** 202, 200 for what was released before; with `Prefer: wait` also 201, or what the publish failed with. */
export async function answerPublish(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  about: Answering & { waitMs: number },
): Promise<HttpReply> {
  const accepted = context.read((view) => findPublish(view, about.publishId));
  if (accepted === undefined)
    throw new GranaryError("INTERNAL", `publish ${about.publishId} was accepted and is not in the state`);
  // One that this request began may be ready already, when the answer of its command took long.
  const existing = !about.isNew && accepted.state === "ready";
  const record = existing ? accepted : await waitForPublish(context, request, accepted, about.waitMs);
  if (about.waitMs > 0) throwEnd(record);
  const status = existing ? 200 : about.waitMs > 0 && record.state === "ready" ? 201 : 202;
  const body = renderRecord(context, existing ? { ...record, existing: true } : record);
  return reply.code(status).header("location", `/v1/publishes/${record.publish_id}`).send(body);
}

export function renderRecord(context: ApiContext, record: PublishRecord): PublishJson {
  return context.read((view) => renderPublish(view, record, context));
}

function throwEnd({ publish_id, state, error }: PublishRecord): void {
  if (error !== undefined) throw new GranaryError(error.code, error.message, { ...error.detail, publish_id });
  if (state === "cancelled")
    throw new GranaryError("CANCELLED", `publish ${publish_id} was cancelled`, { publish_id });
}

/** RFC 7240 `Prefer: wait=SECONDS`. */
export function preferredWaitMs(request: HttpRequest): number {
  const match = /(?:^|[,;\s])wait=([0-9]{1,4})(?:$|[,;\s])/.exec(String(request.headers["prefer"] ?? ""));
  return match ? Math.min(Number(match[1]) * 1000, LIMITS.waitMs) : 0;
}

const COMMIT = /^[0-9A-Za-z][0-9A-Za-z._-]*$/;

/** @throws GranaryError USAGE */
export function checkCommit(commit: string | undefined, pointer: string): string | null {
  if (commit !== undefined && (commit.length > LIMITS.commitBytes || !COMMIT.test(commit))) {
    throw new GranaryError("USAGE", `commit must be 1 to ${LIMITS.commitBytes} of [0-9A-Za-z._-]`, {
      pointer,
      limit: LIMITS.commitBytes,
    });
  }
  // References are in lower case: under another spelling nobody would find the release.
  if (commit !== undefined && /^[0-9a-f]+$/i.test(commit)) return commit.toLowerCase();
  return commit ?? null;
}

/** @throws GranaryError USAGE */
export function checkSource(source: string | undefined, pointer: string): string | undefined {
  if (source !== undefined && Buffer.byteLength(source) > LIMITS.sourceBytes) {
    throw new GranaryError("USAGE", `source is longer than ${LIMITS.sourceBytes} bytes`, {
      pointer,
      limit: LIMITS.sourceBytes,
    });
  }
  return source;
}
