import { EXIT } from "../../../proto/errors.ts";
import { tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Revokes a token. */
export const tokenRm: VerbHandler<"token rm"> = async ({ args, flags, output, api }) => {
  const client = api();
  const id = args[0] ?? "";
  const org = flags.text("org") ?? (await tokenOrg(client));
  await client.command<undefined>(
    "DELETE",
    `/v1/orgs/${encodeURIComponent(org)}/tokens/${encodeURIComponent(id)}`,
  );
  output.emit({ id, revoked: true }, () => output.line(`${id} is revoked`));
  return EXIT.ok;
};
