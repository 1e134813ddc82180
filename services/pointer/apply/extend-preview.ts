import type { CommandValue, PreviewExtendCommand } from "../../../proto/commands.ts";
import { findPreview } from "./find-preview.ts";
import { setPreviewEnd } from "./set-preview-end.ts";
import type { Step } from "./step.ts";

/** `preview.extend`: the preview ends a time to live from now, also when it was pinned. A given time to live stays its own. */
export function extendPreview(step: Step, body: PreviewExtendCommand): CommandValue {
  const preview = findPreview(step, body.name);
  const ttl_ms = body.ttl_ms ?? preview.ttl_ms;
  const changed = setPreviewEnd(step, preview, { pinned: false, ttl_ms, cause: "extended" });
  return { type: "done", changed };
}
