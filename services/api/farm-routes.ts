import { LIMITS } from "../../proto/limits.ts";
import { requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { listBacklogs } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

/** What operators look at, and the probes. */
export function farmRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/livez", async (_request, reply) => reply.send({ ok: true }));

  server.get("/readyz", async (_request, reply) => {
    const problems = context.problems();
    if (problems.length > 0) reply.header("retry-after", "1");
    return reply.code(problems.length === 0 ? 200 : 503).send({ ready: problems.length === 0, problems });
  });

  server.get("/version", async (_request, reply) =>
    reply.send({ version: context.version, api: "v1", store_format: 1 }),
  );

  server.get("/v1/limits", async (request, reply) => {
    principalOf(context, request);
    return reply.send({ archive: context.limits, ...LIMITS });
  });

  server.get("/v1/nodes", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send({ items: context.nodes(), next_cursor: null });
  });

  server.get("/v1/queue", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send({
      lanes: context.read(listBacklogs).map(({ org, publishes }) => ({ lane: "prod", org, publishes })),
    });
  });

  server.get("/v1/store", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    const stats = context.store.stats();
    return reply.send({
      blobs: stats.blobs,
      layers: stats.layers,
      packed_bytes: stats.packedBytes,
      big_files: stats.bigFiles,
      segments: stats.segments,
      inbox_bytes: stats.inboxBytes,
      disk_bytes: stats.diskBytes,
    });
  });
}
