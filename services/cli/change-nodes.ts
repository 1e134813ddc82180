import { EXIT } from "../../proto/errors.ts";
import type { NodeJson } from "../../proto/http.ts";
import { chooseNodes } from "./choose-nodes.ts";
import type { VerbContext } from "./verb-context.ts";

/** Sets something of the nodes that a verb names, one after another. */
export async function changeNodes(
  context: Pick<VerbContext<"label" | "all">, "args" | "flags" | "api">,
  settings: { readonly threads?: number | null; readonly cordoned?: boolean },
): Promise<readonly NodeJson[]> {
  const changed: NodeJson[] = [];
  for (const { node } of await chooseNodes(context))
    changed.push(await context.api().command<NodeJson>("PUT", `/v1/nodes/${node}`, settings));
  return changed;
}

/** {@link changeNodes} for a verb that does nothing else, with a line for each node. */
export async function setNodes(
  context: VerbContext<"label" | "all">,
  settings: { readonly threads?: number | null; readonly cordoned?: boolean },
  line: (node: NodeJson) => string,
): Promise<number> {
  const nodes = await changeNodes(context, settings);
  context.output.emit(nodes, () => {
    for (const node of nodes) context.output.line(line(node));
  });
  return EXIT.ok;
}
