import { previewChannel } from "../../../proto/channel.ts";
import type { CommandValue, PreviewRemoveCommand } from "../../../proto/commands.ts";
import type { PublishRecord } from "../../../proto/records.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import { cancelUnended } from "./cancel-publish.ts";
import { findPreview } from "./find-preview.ts";
import { putPreview } from "./put-preview.ts";
import type { Step } from "./step.ts";

/**
 * `preview.remove`: the preview ends now, and its unfinished publishes are cancelled: what was on its way must not bring it back.
 * Refuses with NOT_FOUND when there is neither.
 */
export function removePreview(step: Step, body: PreviewRemoveCommand): CommandValue {
  const { name } = body;
  const project = step.openProject();
  const channel = previewChannel(name);
  const unfinished = [...step.range(RANGES.channelWork(project, channel))].flatMap<PublishRecord>(
    (row) => step.get(KEYS.publish(row.value)) ?? [],
  );
  const known = step.get(KEYS.preview(project, name));
  const preview = unfinished.length > 0 && known?.state !== "ready" ? undefined : findPreview(step, name);
  for (const publish of unfinished) cancelUnended(step, publish, `${channel} was removed`);
  if (preview === undefined) return { type: "done", changed: true };
  const { expires_at: _, ...rest } = preview;
  putPreview(step, preview, { ...rest, state: "removed", ended_at: step.at });
  step.emit("preview.removed", channel, {
    name,
    publish_id: preview.publish_id,
    image_digest: preview.image_digest,
    ...(body.reason !== undefined && { reason: body.reason }),
  });
  return { type: "done", changed: true };
}
