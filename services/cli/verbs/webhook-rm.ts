import { EXIT } from "../../../proto/errors.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhookPath } from "../webhook-path.ts";

/** Removes a webhook. */
export const webhookRm: VerbHandler<"webhook rm"> = async ({ args, flags, output, api }) => {
  const client = api();
  const id = args[0] ?? "";
  await client.command<undefined>("DELETE", await webhookPath(client, { org: flags.text("org"), id }));
  output.emit({ id, removed: true }, () => output.line(`${id} is removed`));
  return EXIT.ok;
};
