import { formatBytes, plural, printable } from "../output/format.ts";
import { endOf } from "../output/print-preview.ts";
import type { ReportOptions } from "./report-release.ts";

/**
 * Shows what came of a preview's publish that is ready: stdout `O/P@preview/NAME IMAGE_REF` (or the ref), the rest on stderr.
 * @returns the document for `--json` and the output file: the preview, or the publish when the preview shows another one by now
 */
export function reportPreview({
  output,
  publish,
  pasteable,
}: Pick<ReportOptions, "output" | "publish" | "pasteable">): object {
  const { preview, org, project, channel } = publish;
  const name = `${org}/${project}@${channel}`;
  if (preview === undefined) {
    output.note(`${name} has ended or shows a newer publish by now`);
    return publish;
  }
  for (const warning of preview.warnings) output.warn(printable(warning));
  if (!output.json) output.line(output.quiet ? preview.image_ref : `${name} ${preview.image_ref}`);
  const files = plural(preview.file_count, "file");
  const { stats } = preview;
  output.note(
    publish.existing === true
      ? `${files}; identical to what it showed`
      : `${files}, ${formatBytes(stats.uploaded_bytes)} sent; ${plural(stats.new_blobs, "new file")} (${formatBytes(stats.new_blob_bytes)})`,
  );
  output.note(
    `ends ${endOf(preview)}; let it go live: ${pasteable("preview", "promote", `${org}/${project}`, preview.name)}`,
  );
  return preview;
}
