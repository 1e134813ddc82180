import { EXIT } from "../../../proto/errors.ts";
import { contextsFile, readContexts } from "../config/contexts.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the saved contexts; tokens are never shown. */
export const contextLs: VerbHandler<"context ls"> = async ({ output, env }) => {
  const saved = readContexts(env);
  const rows = Object.entries(saved.contexts).map(([name, context]) => ({
    name,
    current: name === saved.current,
    url: context.url,
    org: context.org ?? null,
    has_token: context.token !== undefined,
  }));
  output.emit(rows, () =>
    output.table(
      ["", "NAME", "URL", "ORG", "TOKEN"],
      rows.map((row) => [
        row.current ? "*" : "",
        row.name,
        row.url,
        row.org ?? "",
        row.has_token ? "saved" : "none",
      ]),
      `no contexts in ${contextsFile(env)}; granary login saves one`,
    ),
  );
  return EXIT.ok;
};
