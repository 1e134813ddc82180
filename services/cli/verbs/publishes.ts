import { EXIT } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, shortCommit } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists publishes, newest first. */
export const publishes: VerbHandler<"publishes"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path } = await findProject(client, args[0] ?? "");
  const page = await client.list<PublishJson>(
    `${path}/publishes`,
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["PUBLISH", "STATE", "VERSION", "CHANNEL", "COMMIT", "UPLOAD", "CREATED", "BY", "ERROR"],
    spare: ["BY", "UPLOAD", "COMMIT", "CREATED"],
    empty: "no publishes yet",
    row: (publish) => [
      publish.publish_id,
      publish.state,
      publish.version,
      publish.channel === "production" ? undefined : publish.channel,
      shortCommit(publish.commit),
      formatBytes(publish.upload.size),
      formatTime(publish.created_at),
      publish.created_by,
      publish.error?.code,
    ],
  });
  return EXIT.ok;
};
