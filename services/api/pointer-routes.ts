import { actorText } from "../../proto/actor-text.ts";
import type { CommandBody } from "../../proto/commands.ts";
import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import {
  ActivationBody,
  type CurrentJson,
  HoldBody,
  type PointerChangeJson,
  type ProjectJson,
  RollbackBody,
  SettingsBody,
} from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import { parseVersion } from "../../proto/names.ts";
import type { ProjectRecord, ReleaseRecord } from "../../proto/records.ts";
import { notFound } from "../shared/authenticate.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findCurrentRelease, findProject, findRelease } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { checkTtl } from "./preview-target.ts";
import { currentJson, projectJson } from "./render.ts";
import { numberQuery, parseBody, type Scoped, scoped, submitFor } from "./request.ts";
import { waitUntil } from "./wait.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";

/** The pointer: what is live, and the commands that move or hold it. */
export function pointerRoutes(server: HttpServer, context: ApiContext): void {
  server.get(`${PROJECT}/current`, async (request, reply) => {
    const where = scoped(context, request, "read");
    const known = generationIn(request.headers["if-none-match"]);
    const waitMs = 1000 * numberQuery(request, "wait", { min: 0, max: LIMITS.waitMs / 1000, fallback: 0 });
    await waitUntil(
      context,
      request,
      {
        holds: () => projectOf(context, where).generation !== known,
        mayChange: ({ projects }) =>
          projects.some(({ org, project }) => org === where.org && project === where.project),
      },
      known === undefined ? 0 : waitMs,
    );
    if (projectOf(context, where).generation === known)
      return reply.code(304).header("etag", `"${known}"`).send();
    const current = currentOf(context, where);
    return reply.header("etag", `"${current.generation}"`).send(current);
  });

  server.post(`${PROJECT}/activations`, async (request, reply) => {
    const where = scoped(context, request, "activate");
    const body = parseBody(ActivationBody, request.body);
    // Going back is a rollback: a token that may only ship forward cannot do it by another name.
    const forward = where.principal.scopes.has("rollback") ? {} : { forward_only: true as const };
    const expected = expectedGeneration(request, body.expected_generation);
    return change(context, request, reply, {
      where,
      expected,
      body: { type: "activate", version: body.version, ...forward, ...rest(expected, body.reason) },
    });
  });

  server.post(`${PROJECT}/rollbacks`, async (request, reply) => {
    const where = scoped(context, request, "rollback");
    const body = parseBody(RollbackBody, request.body);
    const expected = expectedGeneration(request, body.expected_generation);
    const to = body.to === undefined ? {} : { to: body.to };
    return change(context, request, reply, {
      where,
      expected,
      body: { type: "rollback", ...to, ...rest(expected, body.reason) },
    });
  });

  server.post(`${PROJECT}/holds`, async (request, reply) => {
    const where = scoped(context, request, "hold");
    const body = parseBody(HoldBody, request.body);
    const hold = holdOf(body, context.now());
    await submitFor(context, request, { ...where, body: { type: "hold", ...hold } });
    return reply.send(projectAnswer(context, where));
  });

  server.delete(`${PROJECT}/holds`, async (request, reply) => {
    const where = scoped(context, request, "hold");
    await submitFor(context, request, { ...where, body: { type: "unhold" } });
    return reply.send(projectAnswer(context, where));
  });

  server.put(`${PROJECT}/settings`, async (request, reply) => {
    const where = scoped(context, request, "token:admin");
    const parsed = parseBody(SettingsBody, request.body);
    if (parsed.default_ttl !== undefined) checkTtl(parsed.default_ttl, "/default_");
    const settings = Object.fromEntries(Object.entries(parsed).filter(([, value]) => value !== undefined));
    await submitFor(context, request, { ...where, body: { type: "project.set", settings } });
    return reply.send(projectAnswer(context, where));
  });
}

/** What a request to hold asks for, with its end as a time. */
export function holdOf(
  body: { reason?: string | undefined; for?: string | undefined },
  nowMs: number,
): { reason: string; until?: string; keeps_endless: true } {
  const forMs = body.for === undefined ? undefined : parseDurationMs(body.for);
  const until = forMs === undefined ? {} : { until: new Date(nowMs + forMs).toISOString() };
  return { reason: body.reason ?? "held by request", ...until, keeps_endless: true };
}

/** @throws GranaryError NOT_FOUND */
export function projectOf(context: ApiContext, where: Scoped): ProjectRecord {
  const project = context.read((view) => findProject(view, where));
  if (project === undefined) throw notFound(where);
  return project;
}

/** @throws GranaryError NOT_FOUND */
export function projectAnswer(context: ApiContext, where: Scoped): ProjectJson {
  const project = projectOf(context, where);
  return context.read((view) => projectJson(view, project, context.now()));
}

/** The pointer and what it names, of one moment. @throws GranaryError NOT_FOUND, NOTHING_ACTIVE */
function currentOf(context: ApiContext, where: Scoped): CurrentJson {
  return context.read((view) => {
    const project = findProject(view, where);
    if (project === undefined) throw notFound(where);
    const release = findCurrentRelease(view, where);
    if (release === undefined)
      throw new GranaryError("NOTHING_ACTIVE", `${where.org}/${where.project} has no active release`);
    return currentJson(view, project, release, context);
  });
}

/** Which generation the client saw, from If-Match or the body; where they differ the request contradicts itself. */
interface Expected {
  readonly generation: number | undefined;
  readonly byHeader: boolean;
}

export function expectedGeneration(request: HttpRequest, inBody: number | undefined): Expected {
  // RFC 9110, 13.1.1: `*` asks for no generation in particular.
  const header = request.headers["if-match"] === "*" ? undefined : request.headers["if-match"];
  const inHeader = generationIn(header);
  if (header !== undefined && inHeader === undefined)
    throw new GranaryError("USAGE", 'If-Match must be the generation, such as "7"');
  if (inHeader !== undefined && inBody !== undefined && inHeader !== inBody)
    throw new GranaryError("USAGE", "If-Match and expected_generation differ");
  return { generation: inHeader ?? inBody, byHeader: inHeader !== undefined };
}

function generationIn(header: string | undefined): number | undefined {
  const match = /^"([0-9]{1,15})"$/.exec(header ?? "");
  return match ? Number(match[1]) : undefined;
}

function rest(
  expected: Expected,
  reason: string | undefined,
): { expected_generation?: number; reason?: string } {
  return {
    ...(expected.generation === undefined ? {} : { expected_generation: expected.generation }),
    ...(reason === undefined ? {} : { reason }),
  };
}

async function change(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  about: { where: Scoped; expected: Expected; body: CommandBody },
): Promise<HttpReply> {
  const { where } = about;
  projectOf(context, where);
  const left = context.read((view) => findCurrentRelease(view, where));
  let value: Awaited<ReturnType<typeof submitFor>>;
  try {
    value = await submitFor(context, request, { ...where, body: about.body });
  } catch (error) {
    // RFC 9110: a condition from a header that fails is 412, one from the body 409; both carry the same code and state.
    if (error instanceof GranaryError && error.code === "GENERATION_STALE" && about.expected.byHeader)
      throw preconditionFailed(error);
    throw error;
  }
  if (value.type !== "pointer")
    throw new GranaryError("INTERNAL", `the pointer command came to ${value.type}`);
  const json: PointerChangeJson = {
    ...reached(context, where, value.to),
    generation: value.generation,
    changed: value.changed,
    from: value.from,
    to: value.to,
    cause: value.cause,
    ...(left === undefined || left.version !== value.from ? {} : leftAt(left)),
  };
  return reply.header("etag", `"${value.generation}"`).send(json);
}

/** The release that a command has made live, though another one may have followed it by now. */
function reached(context: ApiContext, where: Scoped, version: string): CurrentJson {
  return context.read((view) => {
    const project = findProject(view, where);
    const release = findRelease(view, where, parseVersion(version) ?? 0);
    if (project === undefined || release === undefined)
      throw new GranaryError("INTERNAL", `${version} was activated and is not in the state`);
    return currentJson(view, project, release, context);
  });
}

function leftAt(left: ReleaseRecord): { from_activated_at?: string; from_activated_by?: string } {
  return {
    ...(left.activated_at === undefined ? {} : { from_activated_at: left.activated_at }),
    ...(left.activated_by === undefined ? {} : { from_activated_by: actorText(left.activated_by) }),
  };
}

export function preconditionFailed(error: GranaryError): GranaryError {
  return new GranaryError(error.code, error.message, { ...error.detail, http_status: 412 }, { cause: error });
}
