import { diffTrees, type TreeChange } from "../../proto/diff-trees.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { DiffJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { PreviewRecord, ReleaseRecord } from "../../proto/records.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { findReleaseAt, requireKept } from "./read-routes.ts";
import { fileJson } from "./render.ts";
import { numberQuery, query, scoped } from "./request.ts";

/** `GET .../diff?from=&to=`: two releases of a project at file level, with what else differs in how they run. */
export function diffRoute(server: HttpServer, context: ApiContext): void {
  server.get("/v1/orgs/:org/projects/:project/diff", async (request, reply) => {
    const where = scoped(context, request, "read");
    const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.diffItems, fallback: 1_000 });
    const [fromRef, toRef] = [query(request, "from"), query(request, "to") ?? "current"];
    if (fromRef === undefined)
      throw new GranaryError("USAGE", "from is missing: ?from=v1&to=v2", { pointer: "?from" });
    const from = requireKept(findReleaseAt(context, where, fromRef));
    const to = requireKept(findReleaseAt(context, where, toRef));
    const changes =
      from.tree === to.tree
        ? []
        : diffTrees(await context.store.readTree(from.tree), await context.store.readTree(to.tree));
    return reply.send(diffJson({ from, to, changes, limit }));
  });
}

function diffJson(about: {
  from: ReleaseRecord | PreviewRecord;
  to: ReleaseRecord | PreviewRecord;
  changes: Iterable<TreeChange>;
  limit: number;
}): DiffJson {
  const { from, to, limit } = about;
  const counts = { added: 0, removed: 0, changed: 0, mode: 0, type: 0 };
  const items: DiffJson["items"][number][] = [];
  for (const { path, change, from: before, to: after } of about.changes) {
    counts[change] += 1;
    if (items.length >= limit) continue;
    items.push({
      path,
      change,
      ...(before === undefined ? {} : { from: fileJson(before) }),
      ...(after === undefined ? {} : { to: fileJson(after) }),
    });
  }
  const left = new Set(from.layers.map((layer) => layer.digest));
  const kept = to.layers.filter((layer) => left.has(layer.digest)).length;
  return {
    from: labelOf(from),
    to: labelOf(to),
    same_image: from.image_digest === to.image_digest,
    build_kind: [from.build_kind, to.build_kind],
    execution: [from.execution, to.execution],
    entry_point: [from.entry_point ?? null, to.entry_point ?? null],
    layers: { kept, added: to.layers.length - kept, removed: from.layers.length - kept },
    counts,
    items,
    truncated: Object.values(counts).reduce((sum, count) => sum + count, 0) > items.length,
  };
}

/** `v3`, `preview/NAME`. */
function labelOf(record: ReleaseRecord | PreviewRecord): string {
  return "version" in record ? record.version : record.channel;
}
