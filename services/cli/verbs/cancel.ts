import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { findPublishId } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Stops a publish. Cancelling one that was cancelled succeeds, and says so. */
export const cancel: VerbHandler<"cancel"> = async ({ args, flags, output, api }) => {
  const client = api();
  const publishId = await findPublishId(client, args[0] ?? "");
  const reason = flags.text("reason");
  const path = `/v1/publishes/${encodeURIComponent(publishId)}`;
  const publish = await client
    .command<PublishJson>("POST", `${path}:cancel`, reason === undefined ? {} : { reason })
    .catch((error: unknown) => {
      if (!isCancelled(error)) throw error;
      output.note("it was cancelled before");
      return client.get<PublishJson>(path);
    });
  output.emit(publish, () => output.line(`publish ${publish.publish_id} is ${publish.state}`));
  return EXIT.ok;
};

function isCancelled(error: unknown): boolean {
  return (
    error instanceof GranaryError && error.code === "STATE_CONFLICT" && error.detail["state"] === "cancelled"
  );
}
