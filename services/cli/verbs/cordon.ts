import { setNodes } from "../change-nodes.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Keeps nodes from taking jobs. */
export const cordon: VerbHandler<"cordon"> = async (context) =>
  setNodes(context, { cordoned: true }, (node) => `${node.node} takes no new jobs; ${node.jobs} run`);
