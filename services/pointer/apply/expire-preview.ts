import { previewChannel } from "../../../proto/channel.ts";
import type { CommandValue, PreviewExpireCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { putPreview } from "./put-preview.ts";
import type { Step } from "./step.ts";

/**
 * `preview.expire`: ends the preview if its end is still the one that the sender saw and has come by the log's clock. What was
 * published, extended, pinned or removed before this command in the log has decided otherwise, and it has no effect.
 */
export function expirePreview(step: Step, body: PreviewExpireCommand): CommandValue {
  const { name, expires_at } = body;
  const preview = step.get(KEYS.preview(step.openProject(), name));
  const isDue =
    preview?.state === "ready" && preview.expires_at === expires_at && Date.parse(expires_at) <= step.timeMs;
  if (!isDue) return { type: "done", changed: false };
  putPreview(step, preview, { ...preview, state: "expired", ended_at: step.at });
  const { publish_id, image_digest } = preview;
  step.emit("preview.expired", previewChannel(name), { name, publish_id, image_digest, expires_at });
  return { type: "done", changed: true };
}
