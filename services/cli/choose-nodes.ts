import { GranaryError } from "../../proto/errors.ts";
import type { NodeJson, Page } from "../../proto/http.ts";
import type { VerbContext } from "./verb-context.ts";

/**
 * The nodes that a verb is about: named, chosen by labels, or all.
 * @throws GranaryError USAGE unless it is exactly one of these, NOT_FOUND when nothing fits
 */
export async function chooseNodes({
  args,
  flags,
  api,
}: Pick<VerbContext<"label" | "all">, "args" | "flags" | "api">): Promise<readonly NodeJson[]> {
  const labels = flags.list("label").map(parseLabel);
  const ways = [args.length > 0, labels.length > 0, flags.has("all")].filter(Boolean).length;
  if (ways !== 1) throw new GranaryError("USAGE", "say which nodes: their names, -l KEY=VALUE, or --all");
  const { items } = await api().get<Page<NodeJson>>("/v1/nodes");
  const unknown = args.find((name) => !items.some((node) => node.node === name));
  const chosen = items.filter((node) =>
    args.length > 0 ? args.includes(node.node) : labels.every(([key, value]) => node.labels[key] === value),
  );
  if (unknown === undefined && chosen.length > 0) return chosen;
  const names = items.map((node) => node.node).join(", ");
  const what = unknown === undefined ? "no node has these labels" : `there is no node ${unknown}`;
  throw new GranaryError("NOT_FOUND", `${what}; there are: ${names}`, {
    nodes: names,
    hint: "`granary node ls` lists the nodes and their labels.",
  });
}

function parseLabel(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw new GranaryError("USAGE", `--label wants KEY=VALUE, not ${JSON.stringify(text)}`);
  return [text.slice(0, at), text.slice(at + 1)];
}
