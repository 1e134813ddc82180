import { GranaryError } from "../../proto/errors.ts";
import { RetireBody } from "../../proto/http.ts";
import { parseVersion } from "../../proto/names.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findRelease } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { projectOf } from "./pointer-routes.ts";
import { releaseJson } from "./render.ts";
import { parseBody, scoped, submitFor } from "./request.ts";

/**
 * `POST .../releases/{v}:retire`: a release's end, asked for by a person. Needs the scope that changes retention, because it does to
 * one release what that does to all.
 */
export function retireRoute(server: HttpServer, context: ApiContext): void {
  server.post("/v1/orgs/:org/projects/:project/releases/:version(^[^:]+)::retire", async (request, reply) => {
    const where = scoped(context, request, "token:admin");
    const { reason } = parseBody(RetireBody, request.body);
    projectOf(context, where);
    const { version } = request.params as { version: string };
    await submitFor(context, request, {
      ...where,
      body: { type: "retire", version: version.slice(0, 80), ...(reason === undefined ? {} : { reason }) },
    });
    const release = context.read((view) => findRelease(view, where, parseVersion(version) ?? 0));
    if (release === undefined)
      throw new GranaryError("INTERNAL", `${version} was retired and is not in the state`);
    return reply.send(releaseJson(release, context));
  });
}
