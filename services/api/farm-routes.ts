import { parseDigest } from "../../proto/digest.ts";
import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import { NodeBody, type NodeJson, type QueueJson } from "../../proto/http.ts";
import type { StoreJson } from "../../proto/http-store.ts";
import { LIMITS } from "../../proto/limits.ts";
import { parseName } from "../../proto/names.ts";
import { settingName } from "../../proto/setting-name.ts";
import { requireScope } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { listQueue } from "../shared/list-queue.ts";
import { checkStore } from "./check-store.ts";
import type { ApiContext } from "./context.ts";
import { booleanQuery, numberQuery, parseBody, principalOf, query, submitFor } from "./request.ts";
import { whyContent } from "./why-content.ts";

/** Load balancers ask with either method. */
const PROBE = { exposeHeadRoute: true } as const;

/** By the names that settings and all other answers are spelt in. */
function limitNames(limits: object): object {
  return Object.fromEntries(
    Object.entries(limits).map(([name, value]: [string, unknown]) => [
      settingName(name),
      typeof value === "object" && value !== null && !Array.isArray(value) ? limitNames(value) : value,
    ]),
  );
}

/** What operators look at, and the probes. */
export function farmRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/livez", PROBE, async (_request, reply) => reply.send({ ok: true }));

  server.get("/readyz", PROBE, async (_request, reply) => {
    const problems = context.problems();
    if (problems.length > 0) reply.header("retry-after", "1");
    // Everything else is served, so a load balancer must not turn away; the names are for who may read the store.
    const damaged = context.store.damagedBlobs;
    const warnings = damaged === 0 ? [] : [`damaged content, which is refused: ${damaged} blobs`];
    return reply
      .code(problems.length === 0 ? 200 : 503)
      .send({ ready: problems.length === 0, problems, warnings });
  });

  server.get("/version", PROBE, async (_request, reply) =>
    reply.send({ version: context.version, api: "v1", store_format: 1 }),
  );

  server.get("/v1/limits", async (request, reply) => {
    principalOf(context, request);
    return reply.send(limitNames({ archive: context.limits, ...LIMITS }));
  });

  server.get("/v1/nodes", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send({ items: context.nodes(), next_cursor: null });
  });

  server.put("/v1/nodes/:node", async (request, reply) => {
    const principal = principalOf(context, request);
    requireScope(principal, "farm:admin");
    const node = parseName((request.params as { node: string }).node, "node");
    const { threads, cordoned } = parseBody(NodeBody, request.body);
    findNode(context, node);
    await submitFor(context, request, {
      principal,
      org: principal.org,
      body: {
        type: "node.set",
        node,
        ...(threads !== undefined && { threads }),
        ...(cordoned !== undefined && { cordoned }),
      },
    });
    return reply.send(findNode(context, node));
  });

  server.get("/v1/queue", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    const answer: QueueJson = { lanes: context.read((view) => listQueue(view, context.now())) };
    return reply.send(answer);
  });

  server.post("/v1/store::fsck", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:admin");
    const of = numberQuery(request, "of", { min: 1, max: 9_999, fallback: 1 });
    const part = numberQuery(request, "part", { min: 1, max: of, fallback: 1 });
    const repair = booleanQuery(request, "repair") ?? false;
    return reply.send(await checkStore(context, { subset: { part: part - 1, of }, repair }));
  });

  server.post("/v1/store::gc", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:admin");
    const dryRun = booleanQuery(request, "dry_run") ?? false;
    return reply.send(await context.collectGarbage({ dryRun, graceMs: graceQuery(request) }));
  });

  server.get("/v1/store/why/:digest", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    const digest = parseDigest((request.params as { digest: string }).digest);
    return reply.send(await whyContent(context, digest));
  });

  server.get("/v1/store", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send(storeJson(context));
  });
}

function findNode(context: ApiContext, name: string): NodeJson {
  const nodes = context.nodes();
  const node = nodes.find((known) => known.node === name);
  if (node !== undefined) return node;
  const names = nodes.map((known) => known.node).join(", ");
  throw new GranaryError("NOT_FOUND", `there is no node ${name}; there are: ${names}`, { node: name });
}

/** Who asks wants the space: without `?grace=` there is no undo period. @throws GranaryError USAGE */
function graceQuery(request: HttpRequest): number {
  const text = query(request, "grace") ?? "0s";
  const graceMs = text === "0s" ? 0 : parseDurationMs(text);
  if (graceMs !== undefined) return graceMs;
  throw new GranaryError("USAGE", "grace must be a duration such as 30m, 8h or 7d", { pointer: "?grace" });
}

export function storeJson(context: ApiContext): StoreJson {
  const stats = context.store.stats();
  return {
    blobs: stats.blobs,
    layers: stats.layers,
    packed_bytes: stats.packedBytes,
    big_files: stats.bigFiles,
    segments: stats.segments,
    damaged_blobs: stats.damagedBlobs,
    dead_bytes: stats.deadBytes,
    inbox_bytes: stats.inboxBytes,
    disk_bytes: stats.diskBytes,
    budget_bytes: context.gc.budgetBytes ?? null,
    last_gc: context.lastGc(),
    scrub: context.scrub(),
  };
}
