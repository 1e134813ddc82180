import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { DiffJson } from "../../../proto/http.ts";
import { findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

const SIGNS = { added: "+", removed: "-", changed: "~", mode: "m", type: "t" } as const;

/** Compares two releases of a project, file by file. */
export const diff: VerbHandler<"diff"> = async ({ args, flags, output, api }) => {
  const client = api();
  const from = await findRelease(client, args[0] ?? "");
  const to = args[1] === undefined ? { ...from, ref: "current" } : await findRelease(client, args[1]);
  if (from.path !== to.path) throw new GranaryError("USAGE", "both releases must be of one project");
  const query = new URLSearchParams({
    from: from.ref,
    to: to.ref,
    limit: String(flags.count("limit") ?? 1_000),
  });
  const result = await client.get<DiffJson>(`${from.path}/diff?${query}`);
  output.emit(result, () => {
    for (const item of result.items) output.line(`${SIGNS[item.change]} ${item.path}`);
    if (result.truncated) output.note("there are more; raise --limit");
    output.note(summary(result));
  });
  return EXIT.ok;
};

function summary(result: DiffJson): string {
  const counts = Object.entries(result.counts).filter(([, count]) => count > 0);
  const files =
    counts.length === 0
      ? "no file differs"
      : counts.map(([change, count]) => `${count} ${change}`).join(", ");
  const layers = `${result.layers.kept} layers kept, ${result.layers.added} new`;
  const same = result.same_image ? "same image" : "other image";
  return `${result.from} -> ${result.to}: ${files}; ${layers}; ${same}`;
}
