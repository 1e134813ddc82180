import { EXIT } from "../../../proto/errors.ts";
import type { PreviewJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { findPreview } from "../preview-path.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lets a preview end a time to live from now. */
export const previewExtend: VerbHandler<"preview extend"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path, reference } = await findPreview(client, args);
  flags.durationMs("ttl");
  const ttl = flags.text("ttl");
  const body = ttl === undefined ? {} : { ttl };
  const preview = await client.command<PreviewJson>("POST", `${path}:extend`, body);
  output.emit(preview, () =>
    output.line(`${reference} ends ${formatTime(preview.expires_at ?? undefined) ?? "never"}`),
  );
  return EXIT.ok;
};
