import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import { SessionBody } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findSession, listSessions } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { projectOf } from "./pointer-routes.ts";
import { pageOf } from "./read-routes.ts";
import { sessionJson } from "./render.ts";
import { parseBody, type Scoped, scoped, submitFor } from "./request.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";

/**
 * Application sessions, each pinned to the release that was live when it started. `read` starts them, because an application that
 * runs what is live has no other scope and pins nothing but its own; their number is bounded.
 */
export function sessionRoutes(server: HttpServer, context: ApiContext): void {
  server.put(`${PROJECT}/sessions/:id`, async (request, reply) => {
    const { where, id } = sessionScoped(context, request);
    const { ttl } = parseBody(SessionBody, request.body);
    const ttlMs = ttl === undefined ? undefined : checkSessionTtl(ttl);
    projectOf(context, where);
    const look = () => context.read((view) => findSession(view, where, id));
    if (ttlMs === undefined && look() !== undefined) {
      // It may have been ended elsewhere: what is told to go on has to live.
      await context.barrier();
      const known = look();
      if (known !== undefined) return reply.send(sessionJson(known, context));
    }
    // Whatever this replica knows: the log decides whether it is the first start.
    const value = await submitFor(context, request, {
      ...where,
      body: {
        type: "session.start",
        session_id: id,
        ttl_ms: ttlMs ?? LIMITS.sessionTtlDefaultMs,
        extend: ttlMs !== undefined,
        limit: LIMITS.sessionsPerProject,
      },
    });
    if (value.type !== "session") throw new GranaryError("INTERNAL", `session.start came to ${value.type}`);
    return reply.code(value.started ? 201 : 200).send(sessionJson(value.session, context));
  });

  server.get(`${PROJECT}/sessions/:id`, async (request, reply) => {
    const { where, id } = sessionScoped(context, request);
    projectOf(context, where);
    const look = () => context.read((view) => findSession(view, where, id));
    let session = look();
    if (session === undefined) {
      // It may have been started elsewhere a moment ago.
      await context.barrier();
      session = look();
    }
    if (session === undefined)
      throw new GranaryError("NOT_FOUND", `${where.org}/${where.project} has no session ${id}`, {
        hint: "It has ended, or was never started: PUT starts it.",
      });
    return reply.send(sessionJson(session, context));
  });

  server.delete(`${PROJECT}/sessions/:id`, async (request, reply) => {
    const { where, id } = sessionScoped(context, request);
    const of_any = where.principal.scopes.has("activate");
    await submitFor(context, request, { ...where, body: { type: "session.end", session_id: id, of_any } });
    return reply.code(204).send();
  });

  server.get(`${PROJECT}/sessions`, async (request, reply) => {
    const where = scoped(context, request, "read");
    projectOf(context, where);
    const page = context.read((view) => listSessions(view, where, pageOf(request)));
    return reply.send({ ...page, items: page.items.map((record) => sessionJson(record, context)) });
  });
}

function sessionScoped(context: ApiContext, request: HttpRequest): { where: Scoped; id: string } {
  const where = scoped(context, request, "read");
  const { id } = request.params as { id: string };
  if (/^[A-Za-z0-9_-]{1,128}$/.test(id)) return { where, id };
  throw new GranaryError("NAME_INVALID", "a session's id is 1 to 128 letters, digits, - and _", {
    limit: 128,
    hint: "Use 1 to 128 of A-Z a-z 0-9 _ -; an id of yours that has others can be sent as its hash.",
  });
}

function checkSessionTtl(text: string): number {
  const ttlMs = parseDurationMs(text);
  const limit = LIMITS.sessionTtlMs;
  if (ttlMs !== undefined && ttlMs <= limit) return ttlMs;
  const message = `ttl is longer than ${limit / 86_400_000} d; extend the session while it lives instead`;
  throw new GranaryError("USAGE", message, { pointer: "/ttl", limit });
}
