import { EXIT } from "../../../proto/errors.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Ends an empty org. */
export const orgRm: VerbHandler<"org rm"> = async ({ args, output, api }) => {
  const org = args[0] ?? "";
  await api().command<undefined>("DELETE", `/v1/orgs/${encodeURIComponent(org)}`);
  output.emit({ org, removed: true }, () => output.line(`${org} is removed, with its tokens and trusts`));
  return EXIT.ok;
};
