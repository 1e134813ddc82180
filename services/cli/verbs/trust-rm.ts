import { EXIT } from "../../../proto/errors.ts";
import { tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Ends a trust. */
export const trustRm: VerbHandler<"trust rm"> = async ({ args, flags, output, api }) => {
  const client = api();
  const id = args[0] ?? "";
  const org = flags.text("org") ?? (await tokenOrg(client));
  await client.command<undefined>(
    "DELETE",
    `/v1/orgs/${encodeURIComponent(org)}/trusts/${encodeURIComponent(id)}`,
  );
  output.emit({ id, removed: true }, () => output.line(`${id} is removed, with the tokens issued for it`));
  return EXIT.ok;
};
