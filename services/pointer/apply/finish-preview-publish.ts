import { previewChannel } from "../../../proto/channel.ts";
import type { ReadyCommand } from "../../../proto/commands.ts";
import type { Name } from "../../../proto/names.ts";
import type { PreviewRecord, PublishRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { endPublish } from "./end-publish.ts";
import { overtake } from "./overtake-publishes.ts";
import { previewTtlMs } from "./preview-ttl.ts";
import { putPreview } from "./put-preview.ts";
import { expiryText } from "./set-preview-end.ts";
import type { Step } from "./step.ts";

/**
 * The end of a preview's publish: the preview shows its artifact and lives for its time to live from now, unless it is pinned.
 * It has no version, and the pointer is not looked at. What is older than what the preview showed last ends as overtaken: its
 * artifact is used for nothing.
 */
export function finishPreviewPublish(
  step: Step,
  publish: PublishRecord,
  about: { name: Name; ready: ReadyCommand },
): void {
  const { name, ready } = about;
  const { publish_id } = publish;
  const before = step.get(KEYS.preview(publish, name));
  if (before !== undefined && before.order > publish.order) {
    overtake(step, publish, before.publish_id);
    return;
  }
  const living = before?.state === "ready" ? before : undefined;
  const existing = living?.image_digest === ready.artifact.image_digest && living.commit === publish.commit;
  const after = previewOfPublish(step, publish, { name, ready, living });
  putPreview(step, before, after);
  endPublish(step, publish, {
    state: "ready",
    image_digest: after.image_digest,
    ...(existing && { existing }),
    node: ready.node,
  });
  step.emit(living === undefined ? "preview.created" : "preview.updated", previewChannel(name), {
    name,
    ...(living !== undefined && { cause: "published" }),
    publish_id,
    image_digest: after.image_digest,
    tree: after.tree,
    commit: after.commit,
    pinned: after.pinned,
    expires_at: after.expires_at ?? null,
  });
}

function previewOfPublish(
  step: Step,
  publish: PublishRecord,
  about: { name: Name; ready: ReadyCommand; living: PreviewRecord | undefined },
): PreviewRecord {
  const { name, ready, living } = about;
  const asked = publish.preview_ttl_ms;
  const ttlMs = previewTtlMs({ asked, preview: living, project: step.openProject() });
  const pinned = living?.pinned ?? false;
  return {
    ...ready.artifact,
    org: publish.org,
    project: publish.project,
    name,
    state: "ready",
    publish_id: publish.publish_id,
    order: publish.order,
    channel: publish.channel,
    commit: publish.commit,
    ...(publish.source !== undefined && { source: publish.source }),
    ...(publish.dirty !== undefined && { dirty: publish.dirty }),
    created_at: living?.created_at ?? step.at,
    created_by: living?.created_by ?? publish.created_by,
    updated_at: step.at,
    updated_by: publish.created_by,
    ttl_ms: ttlMs,
    pinned,
    ...(!pinned && { expires_at: expiryText(step.timeMs, ttlMs) }),
    stats: ready.stats,
  };
}
