import { EXIT } from "../../../proto/errors.ts";
import type { OrgJson } from "../../../proto/http-org.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Makes an org; one that is there stays as it is. */
export const orgCreate: VerbHandler<"org create"> = async ({ args, output, api, pasteable }) => {
  const made = await api().command<OrgJson>("POST", "/v1/orgs", { org: args[0] });
  output.emit(made, () => {
    output.line(made.org);
    output.note(`its first token: ${pasteable("token", "create", "--org", made.org, "--scope", "admin")}`);
  });
  return EXIT.ok;
};
