import { EXIT } from "../../../proto/errors.ts";
import type { TokenJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the tokens of an org. */
export const tokenLs: VerbHandler<"token ls"> = async ({ flags, output, api }) => {
  const client = api();
  const org = flags.text("org") ?? (await tokenOrg(client));
  const page = await client.list<TokenJson>(
    `/v1/orgs/${encodeURIComponent(org)}/tokens`,
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["ID", "PROJECT", "SCOPES", "CREATED", "EXPIRES", "REVOKED"],
    empty: "no tokens",
    row: (token) => [
      token.id,
      token.project,
      token.scopes.join(","),
      formatTime(token.created_at),
      formatTime(token.expires_at) ?? "never",
      formatTime(token.revoked_at),
    ],
  });
  return EXIT.ok;
};
