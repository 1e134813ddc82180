import type { CommandBody } from "../../proto/commands.ts";
import { parseDigest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { CancelBody, ExtendBody, PromoteBody } from "../../proto/http.ts";
import { type Name, parseName, parseVersion } from "../../proto/names.ts";
import type { PreviewRecord, Scope } from "../../proto/records.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { KEYS } from "../shared/state-keys.ts";
import { findPreview, findRelease, listPreviews } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { fullPage } from "./full-page.ts";
import { listedBy } from "./listed-by.ts";
import { expectedGeneration, preconditionFailed, projectOf } from "./pointer-routes.ts";
import { checkTtl } from "./preview-target.ts";
import { pageOf } from "./read-routes.ts";
import { previewJson, releaseJson } from "./render.ts";
import { booleanQuery, parseBody, type Scoped, scoped, submitFor } from "./request.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";

/** Previews: looked at, kept longer, removed, promoted. They are made by publishing (`publish-routes.ts`). */
export function previewRoutes(server: HttpServer, context: ApiContext): void {
  server.get(`${PROJECT}/previews`, async (request, reply) => {
    const where = scoped(context, request, "read");
    projectOf(context, where);
    const all = booleanQuery(request, "all") ?? false;
    const page = await fullPage(pageOf(request), (part) =>
      context.read((view) => listPreviews(view, where, { ...part, all })),
    );
    return reply.send({ ...page, items: page.items.map((record) => previewJson(record, context)) });
  });

  server.get(`${PROJECT}/previews/:name(^[^:]+)`, async (request, reply) => {
    const { where, name } = previewScoped(context, request, "read");
    return reply.send(previewJson(previewAt(context, where, name), context));
  });

  server.delete(`${PROJECT}/previews/:name(^[^:]+)`, async (request, reply) => {
    const { where, name } = previewScoped(context, request, "preview");
    const { reason } = parseBody(CancelBody, request.body);
    const body = { type: "preview.remove", name, ...(reason === undefined ? {} : { reason }) } as const;
    await submitFor(context, request, { ...where, body });
    return reply.code(204).send();
  });

  server.post(`${PROJECT}/previews/:name(^[^:]+)::pin`, async (request, reply) => {
    const { where, name } = previewScoped(context, request, "preview");
    await submitFor(context, request, { ...where, body: { type: "preview.pin", name } });
    return reply.send(previewJson(changed(context, where, name), context));
  });

  server.post(`${PROJECT}/previews/:name(^[^:]+)::extend`, async (request, reply) => {
    const { where, name } = previewScoped(context, request, "preview");
    const { ttl } = parseBody(ExtendBody, request.body);
    const ttlMs = ttl === undefined ? {} : { ttl_ms: checkTtl(ttl, "/") };
    await submitFor(context, request, { ...where, body: { type: "preview.extend", name, ...ttlMs } });
    return reply.send(previewJson(changed(context, where, name), context));
  });

  server.post(`${PROJECT}/previews/:name(^[^:]+)::promote`, async (request, reply) => {
    const { where, name } = previewScoped(context, request, "activate");
    const { activate, image_digest, reason, expected_generation } = parseBody(PromoteBody, request.body);
    const expected = expectedGeneration(request, expected_generation);
    const body: CommandBody = {
      type: "preview.promote",
      name,
      activate: activate ?? true,
      ...(image_digest === undefined ? {} : { image_digest: parseDigest(image_digest) }),
      ...(expected.generation === undefined ? {} : { expected_generation: expected.generation }),
      ...(reason === undefined ? {} : { reason }),
    };
    const value = await submitFor(context, request, { ...where, body }).catch((error: unknown) => {
      if (error instanceof GranaryError && error.code === "GENERATION_STALE" && expected.byHeader)
        throw preconditionFailed(error);
      throw error;
    });
    if (value.type !== "promoted")
      throw new GranaryError("INTERNAL", `preview.promote came to ${value.type}`);
    const release = context.read((view) => findRelease(view, where, parseVersion(value.version) ?? 0));
    if (release === undefined)
      throw new GranaryError("INTERNAL", `${value.version} was allocated and is not in the state`);
    return reply
      .code(value.existing ? 200 : 201)
      .send(releaseJson(release, context, { existing: value.existing }));
  });
}

/** What a command was for; when it was asked for again, it may have ended since. */
function changed(context: ApiContext, where: Scoped, name: Name): PreviewRecord {
  const preview = context.read((view) => view.get(KEYS.preview(where, name)));
  if (preview === undefined)
    throw new GranaryError("INTERNAL", `preview/${name} was changed and is not in the state`);
  return preview;
}

function previewScoped(
  context: ApiContext,
  request: HttpRequest,
  scope: Scope,
): { where: Scoped; name: Name } {
  const where = scoped(context, request, scope);
  return { where, name: parseName((request.params as { name: string }).name, "preview") };
}

/** @throws GranaryError NOT_FOUND, also when it has ended */
function previewAt(context: ApiContext, where: Scoped, name: Name): PreviewRecord {
  projectOf(context, where);
  const preview = context.read((view) => findPreview(view, where, name));
  if (preview !== undefined) return preview;
  throw new GranaryError(
    "NOT_FOUND",
    `${where.org}/${where.project} has no preview/${name}`,
    listedBy("preview ls", where),
  );
}
