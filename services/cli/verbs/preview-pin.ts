import { EXIT } from "../../../proto/errors.ts";
import type { PreviewJson } from "../../../proto/http.ts";
import { findPreview } from "../preview-path.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Keeps a preview until it is removed or extended. */
export const previewPin: VerbHandler<"preview pin"> = async ({ args, output, api }) => {
  const client = api();
  const { path, reference } = await findPreview(client, args);
  const preview = await client.command<PreviewJson>("POST", `${path}:pin`, {});
  output.emit(preview, () => output.line(`${reference} is pinned: it does not expire`));
  return EXIT.ok;
};
