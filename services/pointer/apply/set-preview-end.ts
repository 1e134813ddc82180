import { previewChannel } from "../../../proto/channel.ts";
import type { PreviewRecord } from "../../../proto/records.ts";
import { putPreview } from "./put-preview.ts";
import type { Step } from "./step.ts";

/**
 * Changes when a living preview ends, and says so in an event. Nothing is written when nothing changes.
 * @param end `pinned`: never; else `ttl_ms` after now by the log's clock
 */
export function setPreviewEnd(
  step: Step,
  preview: PreviewRecord,
  end: { pinned: boolean; ttl_ms: number; cause: "accepted" | "pinned" | "extended" },
): boolean {
  const { expires_at: _, ...rest } = preview;
  const { pinned, ttl_ms, cause } = end;
  const after: PreviewRecord = {
    ...rest,
    ttl_ms,
    pinned,
    ...(!pinned && { expires_at: expiryText(step.timeMs, ttl_ms) }),
  };
  if (
    after.expires_at === preview.expires_at &&
    after.ttl_ms === preview.ttl_ms &&
    after.pinned === preview.pinned
  )
    return false;
  putPreview(step, preview, after);
  step.emit("preview.updated", previewChannel(preview.name), {
    name: preview.name,
    cause,
    publish_id: preview.publish_id,
    image_digest: preview.image_digest,
    pinned,
    expires_at: after.expires_at ?? null,
  });
  return true;
}

export function expiryText(nowMs: number, ttlMs: number): string {
  return new Date(nowMs + ttlMs).toISOString();
}
