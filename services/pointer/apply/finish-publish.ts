import { previewOf } from "../../../proto/channel.ts";
import type { CommandValue, ReadyCommand } from "../../../proto/commands.ts";
import type { NotActivatedReason, PublishRecord } from "../../../proto/records.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import { findHold } from "../../shared/find-hold.ts";
import { endPublish } from "./end-publish.ts";
import { findPublish } from "./find-publish.ts";
import { finishPreviewPublish } from "./finish-preview-publish.ts";
import { keepLog } from "./keep-log.ts";
import { movePointer } from "./move-pointer.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";
import { emitReady, findSameImage, writeRelease } from "./write-release.ts";

/**
 * `ready`: allocates the next version, records the release and activates it unless it was told not to, the project is held,
 * or something newer was live already; a preview's publish sets its preview instead. Only the current attempt counts; anything
 * else is recorded and ignored.
 */
export function finishPublish(step: Step, body: ReadyCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const { publish_id } = publish;
  const current = publish.state !== "queued" && body.attempt === publish.attempt;
  if (TERMINAL_STATES.has(publish.state) || !current) return { type: "ended", publish_id, applied: false };
  step.openProject(publish.project);
  settleHold(step);

  const preview = previewOf(publish.channel);
  if (preview === undefined) finishProductionPublish(step, publish, body);
  else finishPreviewPublish(step, publish, { name: preview, ready: body });
  keepLog(step, publish, body.log);
  return { type: "ended", publish_id, applied: true };
}

function finishProductionPublish(step: Step, publish: PublishRecord, body: ReadyCommand): void {
  const { publish_id } = publish;
  const existing = publish.force_new
    ? undefined
    : findSameImage(step, { ...publish, image: body.artifact.image_digest });
  if (existing !== undefined) {
    endPublish(step, publish, { state: "ready", version: existing.version, existing: true, node: body.node });
    const data = { publish_id, version: existing.version, image_digest: existing.image_digest };
    step.emit("publish.existing", publish_id, data);
    return;
  }
  const { order, commit, source, dirty, created_by } = publish;
  const notActivated = whyNotActivated(step, publish);
  const release = writeRelease(step, body.artifact, {
    publish_id,
    order,
    commit,
    source,
    dirty,
    created_by,
    stats: body.stats,
    notActivated,
  });
  endPublish(step, publish, { state: "ready", version: release.version, node: body.node });
  emitReady(step, release);
  if (release.not_activated_reason === undefined) {
    movePointer(step, release, { cause: "publish", actor: publish.created_by });
    const reason = `published by ${publish_id}`;
    step.audit({ action: "activate", resource: release.version, actor: publish.created_by, reason });
  }
}

function whyNotActivated(step: Step, publish: PublishRecord): NotActivatedReason | undefined {
  const project = step.openProject();
  if (!publish.activate) return "not_requested";
  if (findHold(step, project, step.timeMs) !== undefined) return "held";
  return publish.order > project.auto_order ? undefined : "older";
}
