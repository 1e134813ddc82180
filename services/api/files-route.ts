import { LIMITS } from "../../proto/limits.ts";
import { entryOf, lineAt, lineBehind, type TreeLine } from "../../proto/tree-lines.ts";
import { inTurns } from "../../store/turns.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { JsonRows } from "./json-rows.ts";
import { formatListingCursor, listingCursor } from "./listing-cursor.ts";
import { findReleaseAt, requireKept } from "./read-routes.ts";
import { fileJson } from "./render.ts";
import { numberQuery, scoped } from "./request.ts";
import type { TreeReads } from "./tree-reads.ts";

/** `GET .../releases/{ref}/files`: the files of a release, by path. */
export function filesRoute(server: HttpServer, context: ApiContext, reads: TreeReads): void {
  server.get("/v1/orgs/:org/projects/:project/releases/:ref/files", async (request, reply) => {
    const where = scoped(context, request, "read");
    const { tree } = requireKept(findReleaseAt(context, where, (request.params as { ref: string }).ref));
    const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.fileItems, fallback: 1_000 });
    const after = listingCursor(request, tree);
    return reads.use(where.org, reply, async () => {
      const bytes = await context.store.readListing(tree);
      const rows = new JsonRows();
      let last: TreeLine | undefined;
      await inTurns(linesBehind(bytes, after, limit), (line) => {
        rows.add(fileJson(entryOf(bytes, line)));
        last = line;
      });
      const more = last !== undefined && last.end + 1 < bytes.byteLength;
      const cursor =
        more && last !== undefined
          ? formatListingCursor(tree, bytes.subarray(last.pathStart, last.pathEnd))
          : null;
      return reply.type("application/json; charset=utf-8").send(rows.inside({}, { next_cursor: cursor }));
    });
  });
}

function* linesBehind(
  bytes: Buffer,
  path: Buffer | undefined,
  limit: number,
): Generator<TreeLine, void, undefined> {
  let start = lineBehind(bytes, path ?? Buffer.alloc(0));
  for (let count = 0; count < limit && start < bytes.byteLength; count++) {
    const line = lineAt(bytes, start);
    yield line;
    start = line.end + 1;
  }
}
