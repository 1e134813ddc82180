import type { ReleaseJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, plural, printable } from "./format.ts";
import type { Output } from "./output.ts";
import { printFields } from "./print-fields.ts";

/** One release for people. */
export function printRelease(
  output: Output,
  release: ReleaseJson,
  extra: readonly (readonly [string, string | undefined])[] = [],
): void {
  printFields(output, [
    ["release", `${release.org}/${release.project}@${release.version}`],
    [
      "state",
      release.not_activated_reason === undefined || release.state !== "ready"
        ? release.state
        : `ready, not live (${release.not_activated_reason})`,
    ],
    ["image", release.image_ref],
    [
      "commit",
      release.commit === null ? "none" : `${release.commit}${release.dirty === true ? " (dirty)" : ""}`,
    ],
    ["source", release.source],
    [
      "content",
      `${plural(release.file_count, "file")}, ${formatBytes(release.size_bytes)}, ${plural(release.layers.length, "layer")}`,
    ],
    ["tree", release.tree],
    ["build", `${release.build_kind}: ${release.build_reason}`],
    ["entry point", release.entry_point],
    ["created", `${formatTime(release.created_at)} by ${release.created_by}`],
    [
      "activated",
      release.activated_at === undefined
        ? undefined
        : `${formatTime(release.activated_at)}${release.activated_by === undefined ? "" : ` by ${release.activated_by}`}`,
    ],
    ...extra,
    ["publish", release.publish_id],
  ]);
  for (const warning of release.warnings) output.warn(printable(warning));
}
