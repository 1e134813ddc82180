import { requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { listQueue } from "../shared/list-queue.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** `GET /metrics`: what to watch, as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/). */
export function metricsRoute(server: HttpServer, context: ApiContext): void {
  let inFlight = 0;
  const answered = new Map<string, number>();
  server.addHook("onRequest", (_request, reply, done) => {
    inFlight += 1;
    // Not onResponse: event streams write to the socket themselves.
    reply.raw.once("close", () => {
      inFlight -= 1;
      const status = `${Math.floor(reply.raw.statusCode / 100)}xx`;
      answered.set(status, (answered.get(status) ?? 0) + 1);
    });
    done();
  });

  server.get("/metrics", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    const requests = [...answered].map(([status, count]): Sample => [{ status }, count]);
    const lines = [
      ...farmLines(context),
      ...metric("granary_http_requests_in_flight", "gauge", "Requests that are being answered.", inFlight),
      ...metric("granary_http_requests_total", "counter", "Requests that were answered.", requests),
    ];
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(`${lines.join("\n")}\n`);
  });
}

function farmLines(context: ApiContext): string[] {
  const store = context.store.stats();
  const lanes = context.read((view) => listQueue(view, context.now()));
  const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);
  const publishes: Sample[] = [
    [{ state: "queued" }, sum(lanes.map(({ queued }) => queued))],
    [{ state: "running" }, sum(lanes.map(({ running }) => running))],
  ];
  const oldest = Math.max(0, ...lanes.map((lane) => lane.oldest_age_ms ?? 0)) / 1000;
  const nodes = context.nodes();
  const ofNodes = (value: (node: (typeof nodes)[number]) => number): Sample[] =>
    nodes.map((node) => [{ node: node.node }, value(node)]);
  return [
    ...metric(
      "granary_ready",
      "gauge",
      "1 while publishes are taken.",
      context.problems().length === 0 ? 1 : 0,
    ),
    ...metric("granary_publishes", "gauge", "Publishes that have not ended.", publishes),
    ...metric("granary_publish_oldest_seconds", "gauge", "Age of the oldest of them.", oldest),
    ...metric(
      "granary_node_threads",
      "gauge",
      "Worker threads.",
      ofNodes((node) => node.threads),
    ),
    ...metric(
      "granary_node_threads_busy",
      "gauge",
      "Worker threads with a task.",
      ofNodes((node) => node.threads_busy),
    ),
    ...metric(
      "granary_node_disk_free_bytes",
      "gauge",
      "Free on the data folder's disk.",
      ofNodes((node) => node.disk.free_bytes),
    ),
    ...metric("granary_store_disk_bytes", "gauge", "What the store has on disk.", store.diskBytes),
    ...metric("granary_store_dead_bytes", "gauge", "Of that, content that is no more.", store.deadBytes),
    ...metric("granary_store_inbox_bytes", "gauge", "Uploads that are not yet extracted.", store.inboxBytes),
    ...metric(
      "granary_store_damaged_blobs",
      "gauge",
      "Contents that wait to be published again.",
      store.damagedBlobs,
    ),
    ...metric(
      "granary_gc_damaged_listings",
      "gauge",
      "Listings because of which the last collection kept what it could not tell from garbage.",
      context.lastGc()?.damaged?.length ?? 0,
    ),
    ...metric("granary_store_blobs", "gauge", "Contents in the store.", store.blobs),
    ...metric(
      "granary_replica_up",
      "gauge",
      "1 while the state here is current.",
      context.replica.health().up ? 1 : 0,
    ),
    ...metric(
      "granary_replica_applied_seq",
      "gauge",
      "Position of the command log that is applied here.",
      context.replica.appliedSeq,
    ),
  ];
}

function metric(
  name: string,
  type: "gauge" | "counter",
  help: string,
  value: number | readonly Sample[],
): string[] {
  const samples: readonly Sample[] = typeof value === "number" ? [[{}, value]] : value;
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map((sample) => `${name}${labels(sample[0])} ${sample[1]}`),
  ];
}

/** Values are names and words of ours: nothing in them needs escaping. */
function labels(of: Sample[0]): string {
  const pairs = Object.entries(of).map(([key, value]) => `${key}="${value}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
