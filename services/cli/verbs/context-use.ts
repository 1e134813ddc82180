import { EXIT } from "../../../proto/errors.ts";
import { useContext } from "../config/contexts.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Chooses the context that is used by default. */
export const contextUse: VerbHandler<"context use"> = async ({ args, output, env }) => {
  const name = args[0] ?? "";
  const { url } = useContext(env, name);
  output.emit({ context: name, url }, () => output.line(`using ${name}: ${url}`));
  return EXIT.ok;
};
