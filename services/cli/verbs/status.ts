import { EXIT } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { formatBytes, formatTime, printable } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { findPublishId } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows one publish. */
export const status: VerbHandler<"status"> = async ({ args, output, api }) => {
  const client = api();
  const publish = await client.get<PublishJson>(
    `/v1/publishes/${encodeURIComponent(await findPublishId(client, args[0] ?? ""))}`,
  );
  output.emit(publish, () =>
    printFields(output, [
      ["publish", publish.publish_id],
      ["project", `${publish.org}/${publish.project}`],
      ["state", publish.state],
      ["channel", publish.channel],
      ["version", publish.version],
      ["overtaken by", publish.overtaken_by],
      [
        "commit",
        publish.commit === null ? undefined : `${publish.commit}${publish.dirty === true ? " (dirty)" : ""}`,
      ],
      ["source", publish.source],
      ["upload", `${formatBytes(publish.upload.size)}, ${publish.upload.digest}`],
      ["created", `${formatTime(publish.created_at)} by ${publish.created_by}`],
      [
        "started",
        publish.started_at === undefined
          ? undefined
          : `${formatTime(publish.started_at)}${publish.node === undefined ? "" : ` on ${publish.node}`}, attempt ${publish.attempt}`,
      ],
      ["ended", formatTime(publish.ended_at)],
      [
        "error",
        publish.error === undefined ? undefined : `${publish.error.code}: ${printable(publish.error.detail)}`,
      ],
      ["hint", publish.error?.hint],
      ["image", publish.release?.image_ref ?? publish.preview?.image_ref],
    ]),
  );
  return EXIT.ok;
};
