import { EXIT } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { asGranaryError, problemDocument } from "../output/render-error.ts";
import { reportRelease, writeOutputFile } from "../publish/report-release.ts";
import { stateNotes } from "../publish/state-notes.ts";
import { waitForPublish } from "../publish/wait-for-publish.ts";
import { findPublishId } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Waits for a publish's end and reports it as `publish` does. */
export const wait: VerbHandler<"wait"> = async ({
  args,
  flags,
  output,
  env,
  interrupted,
  api,
  pasteable,
}) => {
  const client = api();
  let last: PublishJson | undefined;
  try {
    const publishId = await findPublishId(client, args[0] ?? "");
    const tell = stateNotes(output, pasteable);
    const publish = await waitForPublish(client, {
      publishId,
      timeoutMs: flags.durationMs("timeout") ?? 0,
      again: pasteable("wait", publishId),
      onState: (now) => {
        tell(now);
        last = now;
      },
      onLost: (failure) => output.note(`${failure.message}; waiting for the farm to come back`),
    });
    return reportRelease({
      output,
      publish,
      requireActive: flags.has("require-active"),
      outputFile: env["GRANARY_OUTPUT_FILE"],
      pasteable,
    });
  } catch (error) {
    if (!interrupted.aborted) {
      writeOutputFile(env["GRANARY_OUTPUT_FILE"], problemDocument(asGranaryError(error)));
      throw error;
    }
    if (output.json && last !== undefined) output.document(last);
    output.say(
      last === undefined
        ? `detached before the farm had answered. Ask again: ${pasteable("wait", args[0] ?? "")}`
        : `detached: the publish goes on. Follow it: ${pasteable("wait", last.publish_id)}`,
    );
    return EXIT.interrupted;
  }
};
