import type { CommandValue, PreviewPinCommand } from "../../../proto/commands.ts";
import { findPreview } from "./find-preview.ts";
import { setPreviewEnd } from "./set-preview-end.ts";
import type { Step } from "./step.ts";

/** `preview.pin`: the preview has no end any more; publishing to it keeps it pinned. */
export function pinPreview(step: Step, body: PreviewPinCommand): CommandValue {
  const preview = findPreview(step, body.name);
  const { ttl_ms } = preview;
  return { type: "done", changed: setPreviewEnd(step, preview, { pinned: true, ttl_ms, cause: "pinned" }) };
}
