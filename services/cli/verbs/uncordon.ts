import { setNodes } from "../change-nodes.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lets nodes take jobs again. */
export const uncordon: VerbHandler<"uncordon"> = async (context) =>
  setNodes(context, { cordoned: false }, (node) => `${node.node} takes jobs`);
