import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { DiffJson } from "../../../proto/http.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { ApiClient } from "../http/api-client.ts";
import { plural } from "../output/format.ts";
import { findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

const SIGNS = { added: "+", removed: "-", changed: "~", mode: "m", type: "t" } as const;

/** Compares two releases of a project, file by file. */
export const diff: VerbHandler<"diff"> = async ({ args, flags, output, api }) => {
  const client = api();
  const from = await findRelease(client, args[0] ?? "");
  const to = args[1] === undefined ? { ...from, ref: "current" } : await findRelease(client, args[1]);
  if (from.path !== to.path) throw new GranaryError("USAGE", "both releases must be of one project");
  const limit = flags.count("limit") ?? 1_000;
  const result = await readDiff(client, { path: from.path, from: from.ref, to: to.ref, limit });
  output.emit(result, () => {
    for (const item of result.items) output.line(`${SIGNS[item.change]} ${item.path}`);
    if (result.truncated) output.note("there are more; raise --limit");
    output.note(summary(result));
  });
  return EXIT.ok;
};

/** Page by page, as many rows as are asked for. */
async function readDiff(
  client: ApiClient,
  asked: { path: string; from: string; to: string; limit: number },
): Promise<DiffJson> {
  const { path, limit } = asked;
  const page = (of: { from: string; to: string }, rows: number, cursor?: string): Promise<DiffJson> =>
    client.get<DiffJson>(`${path}/diff`, {
      from: of.from,
      to: of.to,
      limit: Math.min(rows, LIMITS.fileItems),
      cursor,
    });
  let last = await page(asked, limit);
  const items = [...last.items];
  while (last.next_cursor !== null && items.length < limit) {
    // What the first page says it compared: `current` may have moved.
    last = await page(last, limit - items.length, last.next_cursor);
    items.push(...last.items);
  }
  return { ...last, items };
}

function summary(result: DiffJson): string {
  const counts = Object.entries(result.counts).filter(([, count]) => count > 0);
  const files =
    counts.length === 0
      ? "no file differs"
      : counts.map(([change, count]) => `${count} ${change}`).join(", ");
  const layers = `${plural(result.layers.kept, "layer")} kept, ${result.layers.added} new`;
  const same = result.same_image ? "same image" : "other image";
  return `${result.from} -> ${result.to}: ${files}; ${layers}; ${same}`;
}
