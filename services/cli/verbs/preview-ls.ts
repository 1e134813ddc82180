import { EXIT } from "../../../proto/errors.ts";
import type { PreviewJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, shortCommit } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { endOf } from "../output/print-preview.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists previews by name. */
export const previewLs: VerbHandler<"preview ls"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path } = await findProject(client, args[0] ?? "");
  const page = await client.list<PreviewJson>(
    `${path}/previews`,
    { cursor: flags.text("cursor"), ...(flags.has("all") ? { all: "true" } : {}) },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["PREVIEW", "ENDS", "COMMIT", "FILES", "SIZE", "UPDATED", "BY", "PROMOTED", "IMAGE"],
    spare: ["BY", "IMAGE", "FILES", "UPDATED"],
    empty: "no previews",
    row: (preview) => [
      preview.name,
      endOf(preview),
      `${shortCommit(preview.commit) ?? ""}${preview.dirty === true ? "+" : ""}`,
      preview.file_count,
      formatBytes(preview.size_bytes),
      formatTime(preview.updated_at),
      preview.updated_by,
      preview.promoted_as,
      preview.image_digest.slice(0, 19),
    ],
  });
  return EXIT.ok;
};
