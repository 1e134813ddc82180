import { EXIT } from "../../../proto/errors.ts";
import { findPreview } from "../preview-path.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Ends a preview now, and what is on its way to it. */
export const previewRm: VerbHandler<"preview rm"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path, reference } = await findPreview(client, args);
  const reason = flags.text("reason");
  await client.command<undefined>("DELETE", path, reason === undefined ? undefined : { reason });
  output.emit({ removed: reference }, () => output.line(`${reference} was removed`));
  return EXIT.ok;
};
