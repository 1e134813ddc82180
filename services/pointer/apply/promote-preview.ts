import { previewChannel } from "../../../proto/channel.ts";
import type { CommandValue, PreviewPromoteCommand } from "../../../proto/commands.ts";
import type { NotActivatedReason, PreviewRecord, ReleaseRecord } from "../../../proto/records.ts";
import { findHold } from "../../shared/find-hold.ts";
import { checkGeneration } from "./check-generation.ts";
import { findPreview } from "./find-preview.ts";
import { movePointer } from "./move-pointer.ts";
import { putPreview } from "./put-preview.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";
import { emitReady, findSameImage, writeRelease } from "./write-release.ts";

/**
 * `preview.promote`: the artifact that the preview shows becomes the next version, without a rebuild, and goes live unless it is
 * told not to or the project is held. Its order is that of this command: a promotion is newer than everything accepted before it.
 * What is a release already stays that release, and is not made live again: that is `activate`. The preview lives on.
 */
export function promotePreview(step: Step, body: PreviewPromoteCommand): CommandValue {
  step.openProject();
  checkGeneration(step, body.expected_generation);
  const preview = findPreview(step, body.name);
  const { image_digest, commit } = preview;
  if (body.image_digest !== undefined && body.image_digest !== image_digest)
    step.refuse("STATE_CONFLICT", `${preview.channel} shows ${image_digest}, not ${body.image_digest}`, {
      expected: body.image_digest,
      actual: image_digest,
    });
  settleHold(step);
  const same = findSameImage(step, { ...step.openProject(), commit, image: image_digest });
  const release = same ?? releaseOf(step, preview, body);
  const activates = same === undefined && release.not_activated_reason === undefined;
  putPreview(step, preview, { ...preview, promoted_as: release.version });
  step.emit("preview.promoted", previewChannel(preview.name), {
    name: preview.name,
    version: release.version,
    publish_id: preview.publish_id,
    image_digest,
    existing: same !== undefined,
    activated: activates,
  });
  if (same === undefined) emitReady(step, release);
  if (activates) {
    const { actor } = step.command;
    movePointer(step, release, { cause: "promote", actor, reason: body.reason });
    step.audit({
      action: "activate",
      resource: release.version,
      actor,
      reason: `promoted from ${preview.channel}`,
    });
  }
  return {
    type: "promoted",
    version: release.version,
    existing: same !== undefined,
    activated: activates,
  };
}

function releaseOf(step: Step, preview: PreviewRecord, body: PreviewPromoteCommand): ReleaseRecord {
  const {
    name: _name,
    state: _state,
    channel,
    created_at: _created,
    created_by: _by,
    updated_at: _updated,
    updated_by: _updatedBy,
    ttl_ms: _ttl,
    pinned: _pinned,
    expires_at: _expires,
    ended_at: _ended,
    promoted_as: _promoted,
    org: _org,
    project: _project,
    publish_id,
    order: _order,
    commit,
    source,
    dirty,
    stats,
    ...artifact
  } = preview;
  return writeRelease(step, artifact, {
    publish_id,
    order: step.seq,
    commit,
    source,
    dirty,
    created_by: step.command.actor,
    stats,
    promoted_from: channel,
    notActivated: whyNotActivated(step, body),
  });
}

function whyNotActivated(step: Step, body: PreviewPromoteCommand): NotActivatedReason | undefined {
  if (!body.activate) return "not_requested";
  return findHold(step, step.openProject(), step.timeMs) === undefined ? undefined : "held";
}
