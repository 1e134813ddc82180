import type { MaterializedJson } from "../../proto/http.ts";
import { requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { findReleaseAt, requireKept } from "./read-routes.ts";
import { scoped } from "./request.ts";

/**
 * `POST .../releases/{ref}:materialize`: the release as a folder on this node. For those who run the machine: the answer is a path on
 * it, and the folder takes its disk.
 */
export function materializeRoute(server: HttpServer, context: ApiContext): void {
  server.post(
    "/v1/orgs/:org/projects/:project/releases/:ref(^[^:]+)::materialize",
    async (request, reply) => {
      const where = scoped(context, request, "read");
      requireScope(where.principal, "farm:admin");
      const release = requireKept(findReleaseAt(context, where, (request.params as { ref: string }).ref));
      const startedMs = performance.now();
      const { writtenBytes, ...made } = await context.roots.materialize(release, context.closing);
      const answer: MaterializedJson = {
        org: release.org,
        project: release.project,
        ...("version" in release ? { version: release.version } : {}),
        tree: release.tree,
        ...made,
        written_bytes: writtenBytes,
        took_ms: Math.round(performance.now() - startedMs),
      };
      return reply.send(answer);
    },
  );
}
