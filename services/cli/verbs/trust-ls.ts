import { EXIT } from "../../../proto/errors.ts";
import type { TrustJson } from "../../../proto/http-trust.ts";
import { claimsText } from "../output/claims-text.ts";
import { printPage } from "../output/print-page.ts";
import { tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the trusts of an org. */
export const trustLs: VerbHandler<"trust ls"> = async ({ flags, output, api }) => {
  const client = api();
  const org = flags.text("org") ?? (await tokenOrg(client));
  const page = await client.list<TrustJson>(
    `/v1/orgs/${encodeURIComponent(org)}/trusts`,
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["ID", "PROJECT", "SCOPES", "CLAIMS", "ISSUER", "AUDIENCE"],
    spare: ["AUDIENCE", "ISSUER"],
    empty: "no trusts",
    row: (trust) => [
      trust.id,
      trust.project,
      trust.scopes.join(","),
      claimsText(trust.claims),
      trust.issuer,
      trust.audience,
    ],
  });
  return EXIT.ok;
};
