import { previewOf } from "../../proto/channel.ts";
import type { Digest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { CancelBody } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { PublishRecord } from "../../proto/records.ts";
import { authorize } from "../shared/authenticate.ts";
import { type HttpRequest, type HttpServer, leaveUnreadBody, sendContinue } from "../shared/http-server.ts";
import { findPublish } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import {
  type Answering,
  acceptKnown,
  acceptPublish,
  answerPublish,
  checkCommit,
  checkSource,
  type PublishOptions,
  preferredWaitMs,
  refuseOverQuota,
  refuseWhenUnwell,
  renderRecord,
} from "./accept-publish.ts";
import type { ApiContext } from "./context.ts";
import { checkPreview, publishScope } from "./preview-target.ts";
import { contentDigest, receiveUpload, refuseLongBody } from "./receive-upload.ts";
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
import type { UploadSlots } from "./upload-slots.ts";
import { waitForPublish } from "./wait.ts";

export function publishRoutes(server: HttpServer, context: ApiContext, slots: UploadSlots): void {
  server.post("/v1/orgs/:org/projects/:project/publishes", async (request, reply) => {
    const where = scoped(context, request, publishScope(query(request, "preview")));
    const options = readOptions(request);
    const key = idempotencyKey(request);
    const announced = contentDigest(request.headers["content-digest"]);
    const waitMs = preferredWaitMs(request);
    refuseWhenUnwell(context);
    refuseLongBody(request.raw, context.limits);
    if (announced !== undefined) {
      const known = await acceptKnown(context, request, { where, options, key, announced });
      if (known !== undefined) {
        leaveUnreadBody(request, reply);
        return await answerPublish(context, request, reply, { ...known, waitMs });
      }
    }
    refuseOverQuota(context, where, Number(request.headers["content-length"] ?? 0));
    const answering = await slots.use(where.org, () => {
      sendContinue(request, reply);
      return receiveAndAccept(context, request, { where, options, key, announced });
    });
    return await answerPublish(context, request, reply, { ...answering, waitMs });
  });

  server.get("/v1/publishes/:id", async (request, reply) => {
    const record = readable(context, request);
    const waitMs = 1000 * numberQuery(request, "wait", { min: 0, max: LIMITS.waitMs / 1000, fallback: 0 });
    const latest = await waitForPublish(context, request, record, waitMs);
    return reply.send(renderRecord(context, latest));
  });

  server.post("/v1/publishes/:id(^[^:]+)::cancel", async (request, reply) => {
    const record = readable(context, request);
    const principal = principalOf(context, request);
    authorize(principal, publishScope(previewOf(record.channel)), record);
    const { reason } = parseBody(CancelBody, request.body);
    await submitFor(context, request, {
      principal,
      org: record.org,
      project: record.project,
      body: { type: "cancel", publish_id: record.publish_id, ...(reason === undefined ? {} : { reason }) },
    });
    return reply.send(renderRecord(context, publishOf(context, record.publish_id) ?? record));
  });
}

function readOptions(request: HttpRequest): PublishOptions {
  return {
    commit: checkCommit(query(request, "commit"), "?commit"),
    source: checkSource(query(request, "source"), "?source"),
    dirty: booleanQuery(request, "dirty"),
    activate: booleanQuery(request, "activate") ?? true,
    forceNew: booleanQuery(request, "force_new") ?? false,
    strip: numberQuery(request, "strip", { min: 0, max: 64, fallback: 0 }),
    preview: checkPreview({ preview: query(request, "preview"), ttl: query(request, "ttl") }, "?"),
  };
}

/** Content first, durable; then the command that names it. */
async function receiveAndAccept(
  context: ApiContext,
  request: HttpRequest,
  about: { where: Scoped; options: PublishOptions; key: string | undefined; announced: Digest | undefined },
): Promise<Answering> {
  const { where } = about;
  const publishId = newId("pub");
  const upload = await context.store.openUpload(publishId);
  let sealed: { digest: PublishRecord["upload"]["digest"]; size: number };
  try {
    await receiveUpload(request.raw, upload, context);
    sealed = await upload.seal({
      // Until its publish has ended, however long that takes; one that is never accepted is reconciled away.
      leaseMs: Number.POSITIVE_INFINITY,
    });
    if (about.announced !== undefined && sealed.digest !== about.announced) {
      throw new GranaryError(
        "DIGEST_INVALID",
        `the body has ${sealed.digest}, Content-Digest said ${about.announced}`,
      );
    }
  } catch (error) {
    await upload.abort();
    await context.store.removeUpload(publishId);
    throw error;
  }
  const answering = await acceptPublish(context, request, {
    where,
    options: about.options,
    key: about.key,
    publishId,
    upload: { digest: sealed.digest, size: sealed.size },
  }).catch(async (error: unknown) => {
    // Refused for certain: nothing names the upload. When the outcome is unknown, its lease decides.
    if (error instanceof GranaryError && error.code !== "OUTCOME_UNKNOWN")
      await context.store.removeUpload(publishId);
    throw error;
  });
  if (answering.publishId !== publishId) await context.store.removeUpload(publishId);
  return answering;
}

/**
 * The publish that the path names: who publishes has to be able to follow what became of it.
 * @throws GranaryError NOT_FOUND, FORBIDDEN
 */
export function readable(context: ApiContext, request: HttpRequest): PublishRecord {
  const principal = principalOf(context, request);
  const { id } = request.params as { id: string };
  const record = publishOf(context, id);
  const unknown = new GranaryError("NOT_FOUND", `there is no publish ${id.slice(0, 80)}`, {
    hint: "`granary publishes ORG/PROJECT` lists those of a project.",
  });
  if (record === undefined) throw unknown;
  try {
    // Who may send such a publish may follow it to its end.
    const sending = record.channel === "production" ? "publish" : "preview";
    const scope = principal.scopes.has(sending) ? sending : "read";
    authorize(principal, scope, record);
  } catch (error) {
    throw error instanceof GranaryError && error.code === "NOT_FOUND" ? unknown : error;
  }
  return record;
}

function publishOf(context: ApiContext, id: string): PublishRecord | undefined {
  return context.read((view) => findPublish(view, id));
}
