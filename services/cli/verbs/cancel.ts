import { EXIT } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { findPublishId } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Stops a publish. Cancelling one that was cancelled succeeds. */
export const cancel: VerbHandler<"cancel"> = async ({ args, flags, output, api }) => {
  const client = api();
  const publishId = await findPublishId(client, args[0] ?? "");
  const reason = flags.text("reason");
  const publish = await client.command<PublishJson>(
    "POST",
    `/v1/publishes/${encodeURIComponent(publishId)}:cancel`,
    reason === undefined ? {} : { reason },
  );
  output.emit(publish, () => output.line(`publish ${publish.publish_id} is ${publish.state}`));
  return EXIT.ok;
};
