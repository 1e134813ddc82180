import { GranaryError } from "../../proto/errors.ts";
import type { WhyJson } from "../../proto/http-why.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findProject } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { readable } from "./publish-routes.ts";
import { findReleaseAt } from "./read-routes.ts";
import { scoped } from "./request.ts";
import { whyPublish } from "./why-publish.ts";
import { whyPreview, whyRelease } from "./why-release.ts";

/** Why a publish, a release or a preview is as it is. */
export function whyRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/publishes/:id/why", async (request, reply) => {
    const publish = readable(context, request);
    const last = context.publishLogs.lines(publish.publish_id).findLast(({ level }) => level === "error");
    const farm = {
      nowMs: context.now(),
      problems: context.problems(),
      nodes: context.nodes(),
      failure: last?.text,
    };
    const { org, project, publish_id, version, state } = publish;
    const answer: WhyJson = {
      about: "publish",
      org,
      project,
      publish_id,
      ...(version === undefined ? {} : { version }),
      state,
      ...context.read((view) => whyPublish(view, publish, farm)),
    };
    return reply.send(answer);
  });

  server.get("/v1/orgs/:org/projects/:project/releases/:ref/why", async (request, reply) => {
    const where = scoped(context, request, "read");
    const found = findReleaseAt(context, where, (request.params as { ref: string }).ref);
    const { org, project, publish_id, state } = found;
    const about = { org, project, publish_id, state };
    if (!("version" in found))
      return reply.send({
        about: "preview",
        ...about,
        preview: found.name,
        ...whyPreview(found),
      } satisfies WhyJson);
    const why = context.read((view) => {
      const record = findProject(view, where);
      if (record === undefined) throw new GranaryError("INTERNAL", `${org}/${project} is gone`);
      return whyRelease(view, { release: found, project: record, nowMs: context.now() });
    });
    return reply.send({ about: "release", ...about, version: found.version, ...why } satisfies WhyJson);
  });
}
