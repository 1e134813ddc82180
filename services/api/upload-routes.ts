import type { IncomingMessage } from "node:http";
import { GranaryError } from "../../proto/errors.ts";
import { CommitUploadBody, type UploadJson } from "../../proto/http.ts";
import { publishIdOf } from "../../proto/upload-session.ts";
import { requireScope } from "../shared/authenticate.ts";
import { type HttpRequest, type HttpServer, sendContinue } from "../shared/http-server.ts";
import { findPublish } from "../shared/state-queries.ts";
import {
  type Answering,
  acceptPublish,
  answerPublish,
  checkCommit,
  checkSource,
  type PublishOptions,
  preferredWaitMs,
  refuseOverQuota,
  refuseWhenUnwell,
} from "./accept-publish.ts";
import type { ApiContext } from "./context.ts";
import { UploadPlanner } from "./plan-upload.ts";
import { checkPreview, publishScope } from "./preview-target.ts";
import { StreamReceiver } from "./receive-stream.ts";
import { booleanQuery, idempotencyKey, parseBody, query, type Scoped, scopedByEither } from "./request.ts";
import { type FoundSession, UploadSessions } from "./upload-sessions.ts";
import type { UploadSlots } from "./upload-slots.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";

/** Publishing a directory by have/want: listing in, missing contents as one stream, commit. */
export function uploadRoutes(server: HttpServer, context: ApiContext, slots: UploadSlots): void {
  const sessions = new UploadSessions(context);
  const planner = new UploadPlanner(context, sessions);
  const receiver = new StreamReceiver(sessions, context.assertRoom);
  const committing = new Map<string, Promise<Answering>>();
  const found = (request: HttpRequest, where: Scoped): FoundSession =>
    sessions.find((request.params as { session: string }).session, where);
  // What is sent is content; what it is for is said, and checked, at the commit.
  const uploader = (request: HttpRequest): Scoped => scopedByEither(context, request, ["publish", "preview"]);
  const describe = (session: FoundSession): UploadJson => ({
    session: session.id,
    offset: sessions.offset(session),
    size: session.session.missing_bytes,
    expires_at: session.session.expires_at,
  });

  server.post(`${PROJECT}/publishes::plan`, async (request, reply) => {
    const where = uploader(request);
    const dryRun = booleanQuery(request, "dry_run") ?? false;
    const ifChanged = booleanQuery(request, "if_changed") ?? false;
    refuseWhenUnwell(context);
    sendContinue(request, reply);
    if (!dryRun) refuseOverQuota(context, where, 0);
    return reply.send(await planner.plan(bodyOf(request), where, { dryRun, ifChanged }));
  });

  server.get(`${PROJECT}/uploads/:session(^[^:]+)`, async (request, reply) =>
    reply.send(describe(found(request, uploader(request)))),
  );

  server.head(`${PROJECT}/uploads/:session(^[^:]+)`, async (request, reply) => {
    const { offset } = describe(found(request, uploader(request)));
    return reply.header("upload-offset", String(offset)).header("cache-control", "no-store").send();
  });

  server.put(`${PROJECT}/uploads/:session(^[^:]+)`, async (request, reply) => {
    const where = uploader(request);
    const session = found(request, where);
    const offset = readOffset(request);
    refuseWhenUnwell(context);
    await slots.use(where.org, () => {
      sendContinue(request, reply);
      return receiver.receive(session, bodyOf(request), offset);
    });
    return reply.send(describe(session));
  });

  server.post(`${PROJECT}/uploads/:session(^[^:]+)::commit`, async (request, reply) => {
    const where = uploader(request);
    const options = readOptions(request);
    requireScope(where.principal, publishScope(options.preview?.name));
    const key = idempotencyKey(request);
    const waitMs = preferredWaitMs(request);
    refuseWhenUnwell(context);
    const id = (request.params as { session: string }).session;
    // With the project: who names another's session must not be told what came of it.
    const place = `${where.org}/${where.project}/${id}`;
    const answering =
      committedOf(context, id, where) ?? (await committing.get(place)) ?? (await commitOnce());
    return await answerPublish(context, request, reply, { ...answering, waitMs });

    async function commitOnce(): Promise<Answering> {
      const commit = commitSession(request, sessions.find(id, where));
      committing.set(place, commit);
      try {
        return await commit;
      } finally {
        committing.delete(place);
      }
    }

    async function commitSession(from: HttpRequest, session: FoundSession): Promise<Answering> {
      await receiver.stop(session.id);
      await sessions.seal(session);
      const { tree, missing_bytes } = session.session;
      const { publishId: own } = session;
      const upload = { digest: tree, size: missing_bytes, form: "listing" } as const;
      const answering = await acceptPublish(context, from, {
        where,
        options,
        key,
        publishId: own,
        upload,
      }).catch(async (error: unknown) => {
        // Refused for good: nothing names the session. A passing refusal or an unknown outcome leaves it to the next try.
        if (error instanceof GranaryError && !error.spec.retryable) await sessions.remove(session);
        throw error;
      });
      if (answering.publishId !== own) await sessions.remove(session);
      return answering;
    }
  });
}

/** The publish of a session that was committed before: asked twice, one publish. */
function committedOf(context: ApiContext, sessionId: string, where: Scoped): Answering | undefined {
  const publishId = publishIdOf(sessionId);
  if (publishId === undefined) return undefined;
  const record = context.read((view) => findPublish(view, publishId));
  return record?.org === where.org && record.project === where.project
    ? { publishId, isNew: false }
    : undefined;
}

function readOptions(request: HttpRequest): PublishOptions {
  const body = parseBody(CommitUploadBody, request.body);
  return {
    commit: checkCommit(body.commit, "/commit"),
    source: checkSource(body.source, "/source"),
    dirty: body.dirty,
    activate: body.activate ?? true,
    forceNew: body.force_new ?? false,
    strip: 0,
    preview: checkPreview(body, "/"),
  };
}

function readOffset(request: HttpRequest): number {
  const text = query(request, "offset") ?? "0";
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new GranaryError("USAGE", "offset must be a whole number", { pointer: "?offset" });
}

/** JSON is parsed by the server; everything else is a stream. @throws GranaryError USAGE */
function bodyOf(request: HttpRequest): IncomingMessage {
  if (String(request.headers["content-type"] ?? "").startsWith("application/json"))
    throw new GranaryError("USAGE", "the body is content, not JSON: send it as application/octet-stream");
  return request.raw;
}
