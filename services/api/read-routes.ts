import { GranaryError } from "../../proto/errors.ts";
import type { PreviewJson, ReleaseJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName, parseReference } from "../../proto/names.ts";
import type { PreviewRecord, ReleaseRecord } from "../../proto/records.ts";
import { authorize, notFound } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import {
  findOrg,
  findPreview,
  findProject,
  listAudit,
  listProjects,
  listPublishes,
  listReleases,
  resolveReference,
} from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { fullPage } from "./full-page.ts";
import { listedBy } from "./listed-by.ts";
import { projectAnswer, projectOf } from "./pointer-routes.ts";
import { auditJson, previewJson, projectJson, releaseJson, renderPublish } from "./render.ts";
import { numberQuery, principalOf, query, type Scoped, scoped } from "./request.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";

/** Lists and records. */
export function readRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/orgs/:org/projects", async (request, reply) => {
    const { org, bound } = orgScoped(context, request);
    const asked = pageOf(request);
    const page = context.read((view) => {
      const records =
        bound === undefined
          ? listProjects(view, org, asked)
          : { items: [findProject(view, { org, project: bound }) ?? []].flat(), next_cursor: null };
      return {
        ...records,
        items: records.items.map((record) => projectJson(view, record, context.now())),
      };
    });
    return reply.send(page);
  });

  server.get(PROJECT, async (request, reply) =>
    reply.send(projectAnswer(context, scoped(context, request, "read"))),
  );

  server.get(`${PROJECT}/publishes`, async (request, reply) => {
    const where = scoped(context, request, "read");
    projectOf(context, where);
    const page = context.read((view) => {
      const records = listPublishes(view, where, pageOf(request));
      return { ...records, items: records.items.map((record) => renderPublish(view, record, context)) };
    });
    return reply.send(page);
  });

  server.get(`${PROJECT}/releases`, async (request, reply) => {
    const where = scoped(context, request, "read");
    projectOf(context, where);
    const page = context.read((view) => listReleases(view, where, pageOf(request)));
    return reply.send({ ...page, items: page.items.map((record) => releaseJson(record, context)) });
  });

  server.get(`${PROJECT}/releases/:ref`, async (request, reply) =>
    reply.send(artifactJson(releaseOf(context, request), context)),
  );

  server.get("/v1/orgs/:org/audit", async (request, reply) => {
    const { org, bound } = orgScoped(context, request);
    const project = bound ?? query(request, "project");
    const page = await fullPage(pageOf(request), (part) =>
      context.read((view) => listAudit(view, org, { ...part, project })),
    );
    return reply.send({ ...page, items: page.items.map(auditJson) });
  });
}

/**
 * What `:ref` names: a version, `current`, the newest release of a commit, or `preview/NAME`.
 * @throws GranaryError NOT_FOUND, NOTHING_ACTIVE
 */
function releaseOf(context: ApiContext, request: HttpRequest): ReleaseRecord | PreviewRecord {
  const where = scoped(context, request, "read");
  return findReleaseAt(context, where, (request.params as { ref: string }).ref);
}

/** The release or living preview of a project that `ref` names. @throws GranaryError NOT_FOUND, NOTHING_ACTIVE, USAGE */
export function findReleaseAt(
  context: ApiContext,
  where: Scoped,
  ref: string,
): ReleaseRecord | PreviewRecord {
  const { org, project, target } = parseReference(`${where.org}/${where.project}@${ref}`);
  const release = context.read((view) => {
    if (findProject(view, where) === undefined) throw notFound(where);
    if (target.kind === "preview") return findPreview(view, where, target.name);
    return resolveReference(view, { org, project, target });
  });
  if (release !== undefined) return release;
  if (target.kind === "current")
    throw new GranaryError("NOTHING_ACTIVE", `${org}/${project} has no active release`);
  const what = target.kind === "preview" ? ref : `release ${ref}`;
  const list = listedBy(target.kind === "preview" ? "preview ls" : "releases", where);
  throw new GranaryError("NOT_FOUND", `${org}/${project} has no ${what.slice(0, 80)}`, list);
}

/** Content of a retired release may be gone, now or in the middle of an answer. @throws GranaryError RELEASE_RETIRED */
export function requireKept<T extends ReleaseRecord | PreviewRecord>(record: T): T {
  if (record.state !== "retired") return record;
  throw new GranaryError(
    "RELEASE_RETIRED",
    `${record.org}/${record.project}@${record.version} was retired at ${record.retired_at}: its content is no longer kept`,
    { version: record.version },
  );
}

function artifactJson(record: ReleaseRecord | PreviewRecord, context: ApiContext): ReleaseJson | PreviewJson {
  return "version" in record ? releaseJson(record, context) : previewJson(record, context);
}

/** The org of the path, and the project that the token is bound to: lists of the org are cut down to it. */
function orgScoped(context: ApiContext, request: HttpRequest): { org: Name; bound: Name | undefined } {
  const principal = principalOf(context, request);
  const org = parseName((request.params as { org: string }).org, "org");
  authorize(principal, "read", { org });
  if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
  return { org, bound: principal.project };
}

export function pageOf(request: HttpRequest): { limit: number; cursor?: string } {
  const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.pageItems, fallback: 50 });
  const cursor = query(request, "cursor");
  return cursor === undefined ? { limit } : { limit, cursor };
}
