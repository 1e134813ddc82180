import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";
import { setNodes } from "../change-nodes.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Changes how many worker threads nodes have. */
export const scale: VerbHandler<"scale"> = async (context) => {
  const threads = parseThreads(context.flags.text("threads"));
  return setNodes(context, { threads }, (node) => `${node.node}: ${node.threads} threads`);
};

/** @returns null for `default` */
function parseThreads(text: string | undefined): number | null {
  if (text === "default") return null;
  const threads = Number(text);
  if (text !== undefined && /^[0-9]{1,9}$/.test(text) && threads >= 1 && threads <= LIMITS.threadsPerNode)
    return threads;
  const given = text === undefined ? "it is missing" : `not ${JSON.stringify(text)}`;
  throw new GranaryError(
    "USAGE",
    `--threads wants a number from 1 to ${LIMITS.threadsPerNode}, or default; ${given}`,
  );
}
