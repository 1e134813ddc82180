import { EXIT } from "../../../proto/errors.ts";
import type { ReleaseJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, shortCommit } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists releases, newest first. */
export const releases: VerbHandler<"releases"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path } = await findProject(client, args[0] ?? "");
  const page = await client.list<ReleaseJson>(
    `${path}/releases`,
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["VERSION", "STATE", "COMMIT", "FILES", "SIZE", "CREATED", "BY", "IMAGE"],
    spare: ["BY", "IMAGE", "FILES"],
    empty: "no releases yet",
    row: (release) => [
      release.version,
      release.not_activated_reason === undefined || release.state !== "ready"
        ? release.state
        : `ready (${release.not_activated_reason})`,
      `${shortCommit(release.commit) ?? ""}${release.dirty === true ? "+" : ""}`,
      release.file_count,
      formatBytes(release.size_bytes),
      formatTime(release.created_at),
      release.created_by,
      release.image_digest.slice(0, 19),
    ],
  });
  return EXIT.ok;
};
