import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { renderCompletions, SHELLS } from "../help/render-completions.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Prints a completion script. */
export const completions: VerbHandler<"completions"> = async ({ args, output }) => {
  const shell = SHELLS.find((known) => known === args[0]);
  if (shell === undefined)
    throw new GranaryError(
      "USAGE",
      `no completions for ${JSON.stringify(args[0])}; there are ${SHELLS.join(", ")}`,
    );
  const script = renderCompletions(shell).trimEnd();
  output.emit({ shell, script }, () => output.line(script));
  return EXIT.ok;
};
