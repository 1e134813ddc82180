import type { PreviewJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, plural, printable } from "./format.ts";
import type { Output } from "./output.ts";
import { printFields } from "./print-fields.ts";

/** One preview for people. */
export function printPreview(output: Output, preview: PreviewJson): void {
  printFields(output, [
    ["preview", `${preview.org}/${preview.project}@${preview.channel}`],
    ["state", preview.state],
    ["ends", endOf(preview)],
    ["image", preview.image_ref],
    [
      "commit",
      preview.commit === null ? "none" : `${preview.commit}${preview.dirty === true ? " (dirty)" : ""}`,
    ],
    ["source", preview.source],
    [
      "content",
      `${plural(preview.file_count, "file")}, ${formatBytes(preview.size_bytes)}, ${plural(preview.layers.length, "layer")}`,
    ],
    ["tree", preview.tree],
    ["build", `${preview.build_kind}: ${preview.build_reason}`],
    ["entry point", preview.entry_point],
    ["created", `${formatTime(preview.created_at)} by ${preview.created_by}`],
    ["updated", `${formatTime(preview.updated_at)} by ${preview.updated_by}`],
    ["promoted as", preview.promoted_as],
    ["publish", preview.publish_id],
  ]);
  for (const warning of preview.warnings) output.warn(printable(warning));
}

/** When a preview ends, or did. */
export function endOf(preview: PreviewJson): string | undefined {
  if (preview.state !== "ready") return `${preview.state} ${formatTime(preview.ended_at) ?? ""}`;
  return preview.pinned ? "never (pinned)" : formatTime(preview.expires_at ?? undefined);
}
