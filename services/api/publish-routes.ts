import { GranaryError } from "../../proto/errors.ts";
import { CancelBody, type PublishJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { PublishRecord } from "../../proto/records.ts";
import { authorize } from "../shared/authenticate.ts";
import { type HttpReply, type HttpRequest, type HttpServer, sendContinue } from "../shared/http-server.ts";
import { findPublish } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import type { ApiContext } from "./context.ts";
import { contentDigest, receiveUpload, refuseLongBody } from "./receive-upload.ts";
import { renderPublish } from "./render.ts";
import {
  booleanQuery,
  idempotencyKey,
  numberQuery,
  parseBody,
  principalOf,
  query,
  type Scoped,
  scoped,
  submitFor,
} from "./request.ts";
import { waitForPublish } from "./wait.ts";

const COMMIT = /^[0-9A-Za-z][0-9A-Za-z._-]*$/;

export function publishRoutes(server: HttpServer, context: ApiContext): void {
  let receiving = 0;

  server.post("/v1/orgs/:org/projects/:project/publishes", async (request, reply) => {
    const where = scoped(context, request, "publish");
    const accept = readAccept(request);
    const key = idempotencyKey(request);
    const announced = contentDigest(request.headers["content-digest"]);
    const waitMs = preferredWaitMs(request);
    refuseWhenUnwell(context);
    refuseLongBody(request.raw, context.limits);
    if (receiving >= LIMITS.concurrentUploads) {
      throw new GranaryError("RATE_LIMITED", `${receiving} uploads are being received`, {
        limit: LIMITS.concurrentUploads,
        retry_after_s: 2,
      });
    }
    receiving += 1;
    try {
      sendContinue(request, reply);
      const publishId = await receiveAndAccept(context, request, { where, accept, key, announced });
      return await answerPublish(context, reply, { publishId, waitMs });
    } finally {
      receiving -= 1;
    }
  });

  server.get("/v1/publishes/:id", async (request, reply) => {
    const record = readable(context, request);
    const waitMs = 1000 * numberQuery(request, "wait", { min: 0, max: LIMITS.waitMs / 1000, fallback: 0 });
    const latest = await waitForPublish(context, record, waitMs);
    return reply.send(render(context, latest));
  });

  server.post("/v1/publishes/:id::cancel", async (request, reply) => {
    const record = readable(context, request);
    const principal = principalOf(context, request);
    authorize(principal, "publish", record);
    const { reason } = parseBody(CancelBody, request.body);
    await submitFor(context, request, {
      principal,
      org: record.org,
      project: record.project,
      body: { type: "cancel", publish_id: record.publish_id, ...(reason === undefined ? {} : { reason }) },
    });
    return reply.send(render(context, publishOf(context, record.publish_id) ?? record));
  });
}

interface AcceptQuery {
  readonly commit: string | null;
  readonly source: string | undefined;
  readonly dirty: boolean | undefined;
  readonly activate: boolean;
  readonly forceNew: boolean;
  readonly strip: number;
}

function readAccept(request: HttpRequest): AcceptQuery {
  const commit = query(request, "commit");
  if (commit !== undefined && (commit.length > LIMITS.commitBytes || !COMMIT.test(commit))) {
    throw new GranaryError("USAGE", `commit must be 1 to ${LIMITS.commitBytes} of [0-9A-Za-z._-]`, {
      pointer: "?commit",
      limit: LIMITS.commitBytes,
    });
  }
  const source = query(request, "source");
  if (source !== undefined && Buffer.byteLength(source) > LIMITS.sourceBytes) {
    throw new GranaryError("USAGE", `source is longer than ${LIMITS.sourceBytes} bytes`, {
      pointer: "?source",
      limit: LIMITS.sourceBytes,
    });
  }
  return {
    commit: commit ?? null,
    source,
    dirty: booleanQuery(request, "dirty"),
    activate: booleanQuery(request, "activate") ?? true,
    forceNew: booleanQuery(request, "force_new") ?? false,
    strip: numberQuery(request, "strip", { min: 0, max: 64, fallback: 0 }),
  };
}

/** A publish that cannot be accepted is refused before its body is received. */
function refuseWhenUnwell(context: ApiContext): void {
  const problems = context.problems();
  if (problems.length > 0)
    throw new GranaryError("UNAVAILABLE", `the farm cannot take publishes now: ${problems.join(", ")}`, {
      retry_after_s: 1,
    });
}

/** Content first, durable; then the command that names it. @returns the id of the publish that answers this request */
async function receiveAndAccept(
  context: ApiContext,
  request: HttpRequest,
  about: { where: Scoped; accept: AcceptQuery; key: string | undefined; announced: string | undefined },
): Promise<string> {
  const { where, accept, key } = about;
  const publishId = newId("pub");
  const upload = await context.store.openUpload(publishId);
  let sealed: { digest: PublishRecord["upload"]["digest"]; size: number };
  try {
    await receiveUpload(request.raw, upload, context.limits);
    sealed = await upload.seal({
      // Until its publish has ended, however long that takes; one that is never accepted is reconciled away.
      leaseMs: Number.POSITIVE_INFINITY,
    });
    if (about.announced !== undefined && sealed.digest !== `sha256:${about.announced}`) {
      throw new GranaryError(
        "DIGEST_INVALID",
        `the body has ${sealed.digest}, Content-Digest said sha256:${about.announced}`,
      );
    }
  } catch (error) {
    await upload.abort();
    await context.store.removeUpload(publishId);
    throw error;
  }
  const value = await submitFor(context, request, {
    principal: where.principal,
    org: where.org,
    project: where.project,
    body: {
      type: "accept",
      publish_id: publishId,
      upload: { digest: sealed.digest, size: sealed.size },
      channel: "production",
      commit: accept.commit,
      ...(accept.source === undefined ? {} : { source: accept.source }),
      ...(accept.dirty === undefined ? {} : { dirty: accept.dirty }),
      activate: accept.activate,
      ...(accept.strip === 0 ? {} : { strip: accept.strip }),
      ...(key === undefined ? {} : { idempotency_key: key }),
      ...(accept.forceNew ? { force_new: true } : {}),
      create: { org: where.principal.scopes.has("farm:admin"), project: true },
    },
  }).catch(async (error: unknown) => {
    // Refused for certain: nothing names the upload. When the outcome is unknown, its lease decides.
    if (error instanceof GranaryError && error.code !== "OUTCOME_UNKNOWN")
      await context.store.removeUpload(publishId);
    throw error;
  });
  if (value.type !== "accepted") throw new GranaryError("INTERNAL", `accept came to ${value.type}`);
  if (value.publish_id !== publishId) await context.store.removeUpload(publishId);
  return value.publish_id;
}

async function answerPublish(
  context: ApiContext,
  reply: HttpReply,
  about: { publishId: string; waitMs: number },
): Promise<HttpReply> {
  const accepted = publishOf(context, about.publishId);
  if (accepted === undefined)
    throw new GranaryError("INTERNAL", `publish ${about.publishId} was accepted and is not in the state`);
  const existing = accepted.state === "ready";
  const record = existing ? accepted : await waitForPublish(context, accepted, about.waitMs);
  if (about.waitMs > 0 && record.error !== undefined) throw GranaryError.fromWire(record.error);
  if (about.waitMs > 0 && record.state === "cancelled")
    throw new GranaryError("CANCELLED", `publish ${record.publish_id} was cancelled`);
  const status = existing ? 200 : record.state === "ready" ? 201 : 202;
  const body = render(context, existing ? { ...record, existing: true } : record);
  return reply.code(status).header("location", `/v1/publishes/${record.publish_id}`).send(body);
}

/** RFC 7240 `Prefer: wait=SECONDS`. */
function preferredWaitMs(request: HttpRequest): number {
  const match = /(?:^|[,;\s])wait=([0-9]{1,4})(?:$|[,;\s])/.exec(String(request.headers["prefer"] ?? ""));
  return match ? Math.min(Number(match[1]) * 1000, LIMITS.waitMs) : 0;
}

function readable(context: ApiContext, request: HttpRequest): PublishRecord {
  const principal = principalOf(context, request);
  const { id } = request.params as { id: string };
  const record = publishOf(context, id);
  const unknown = new GranaryError("NOT_FOUND", `there is no publish ${id.slice(0, 80)}`);
  if (record === undefined) throw unknown;
  try {
    authorize(principal, "read", record);
  } catch (error) {
    throw error instanceof GranaryError && error.code === "NOT_FOUND" ? unknown : error;
  }
  return record;
}

function publishOf(context: ApiContext, id: string): PublishRecord | undefined {
  return context.read((view) => findPublish(view, id));
}

function render(context: ApiContext, record: PublishRecord): PublishJson {
  return context.read((view) => renderPublish(view, record, context));
}
