import { diffTrees, type TreeChange } from "../../proto/diff-trees.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { DiffJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { PreviewRecord, ReleaseRecord } from "../../proto/records.ts";
import { entryOf } from "../../proto/tree-lines.ts";
import { inTurns } from "../../store/turns.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { JsonRows } from "./json-rows.ts";
import { formatListingCursor, listingCursor } from "./listing-cursor.ts";
import { findReleaseAt, requireKept } from "./read-routes.ts";
import { fileJson } from "./render.ts";
import { numberQuery, query, scoped } from "./request.ts";
import type { TreeReads } from "./tree-reads.ts";

type Compared = ReleaseRecord | PreviewRecord;

/** `GET .../diff?from=&to=`: two releases of a project at file level, with what else differs in how they run. */
export function diffRoute(server: HttpServer, context: ApiContext, reads: TreeReads): void {
  server.get("/v1/orgs/:org/projects/:project/diff", async (request, reply) => {
    const where = scoped(context, request, "read");
    const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.fileItems, fallback: 1_000 });
    const [fromRef, toRef] = [query(request, "from"), query(request, "to") ?? "current"];
    if (fromRef === undefined)
      throw new GranaryError("USAGE", "from is missing: ?from=v1&to=v2", { pointer: "?from" });
    const from = requireKept(findReleaseAt(context, where, fromRef));
    const to = requireKept(findReleaseAt(context, where, toRef));
    const of = `${from.tree} ${to.tree}`;
    const after = listingCursor(request, of);
    return reads.use(where.org, reply, async () => {
      const page = new DiffPage({ after, limit });
      if (from.tree !== to.tree) {
        const left = await context.store.readListing(from.tree);
        const right = await context.store.readListing(to.tree);
        await inTurns(diffTrees(left, right), (change) => page.add(left, right, change));
      }
      return reply.type("application/json; charset=utf-8").send(diffJson({ from, to, of, page }));
    });
  });
}

/** Counts all changes, and renders those behind the cursor as far as they fit. */
class DiffPage {
  readonly counts = { added: 0, removed: 0, changed: 0, mode: 0, type: 0 };
  readonly rows = new JsonRows();
  /** Path of the last item. */
  last: Uint8Array = Buffer.alloc(0);
  more = false;
  readonly #limit: number;
  #after: Buffer | undefined;

  constructor(options: { after: Buffer | undefined; limit: number }) {
    this.#limit = options.limit;
    this.#after = options.after;
  }

  add(left: Buffer, right: Buffer, { change, from, to }: TreeChange): void {
    this.counts[change] += 1;
    if (this.more) return;
    const [bytes, line] = to === undefined ? [left, from] : [right, to];
    const path = bytes.subarray(line?.pathStart, line?.pathEnd);
    if (this.#after !== undefined) {
      if (this.#after.compare(path) >= 0) return;
      this.#after = undefined;
    }
    if (this.rows.count >= this.#limit) {
      this.more = true;
      return;
    }
    this.rows.add({
      path: path.toString("utf8"),
      change,
      ...(from === undefined ? {} : { from: fileJson(entryOf(left, from)) }),
      ...(to === undefined ? {} : { to: fileJson(entryOf(right, to)) }),
    });
    this.last = path;
  }
}

function diffJson(about: { from: Compared; to: Compared; of: string; page: DiffPage }): Buffer {
  const { from, to, of, page } = about;
  const left = new Set(from.layers.map((layer) => layer.digest));
  const kept = to.layers.filter((layer) => left.has(layer.digest)).length;
  const head: Omit<DiffJson, "items" | "truncated" | "next_cursor"> = {
    from: labelOf(from),
    to: labelOf(to),
    same_image: from.image_digest === to.image_digest,
    build_kind: [from.build_kind, to.build_kind],
    execution: [from.execution, to.execution],
    entry_point: [from.entry_point ?? null, to.entry_point ?? null],
    layers: { kept, added: to.layers.length - kept, removed: from.layers.length - kept },
    counts: page.counts,
  };
  const tail: Pick<DiffJson, "truncated" | "next_cursor"> = {
    truncated: page.more,
    next_cursor: page.more ? formatListingCursor(of, page.last) : null,
  };
  return page.rows.inside(head, tail);
}

/** `v3`, `preview/NAME`. */
function labelOf(record: Compared): string {
  return "version" in record ? record.version : record.channel;
}
