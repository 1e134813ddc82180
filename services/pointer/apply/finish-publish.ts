import type { CommandValue, ReadyCommand } from "../../../proto/commands.ts";
import { parseVersion } from "../../../proto/names.ts";
import type {
  NotActivatedReason,
  ProjectRecord,
  PublishRecord,
  ReleaseRecord,
} from "../../../proto/records.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import { KEYS, type RepositoryDigestRow } from "../../shared/state-keys.ts";
import { endPublish } from "./end-publish.ts";
import { findPublish } from "./find-publish.ts";
import { movePointer } from "./move-pointer.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/**
 * `ready`: allocates the next version, records the release and activates it unless it was told not to, the project is held,
 * or something newer was live already. Only the current attempt counts; anything else is recorded and ignored.
 */
export function finishPublish(step: Step, body: ReadyCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const { publish_id } = publish;
  const current = publish.state !== "queued" && body.attempt === publish.attempt;
  if (TERMINAL_STATES.has(publish.state) || !current) return { type: "ended", publish_id, applied: false };
  step.openProject(publish.project);
  settleHold(step);

  const existing = publish.force_new ? undefined : findSameImage(step, publish, body);
  if (existing !== undefined) {
    endPublish(step, publish, { state: "ready", version: existing.version, existing: true, node: body.node });
    const data = { publish_id, version: existing.version, image_digest: existing.image_digest };
    step.emit("publish.existing", publish_id, data);
    return { type: "ended", publish_id, applied: true };
  }
  const release = writeRelease(step, publish, body);
  endPublish(step, publish, { state: "ready", version: release.version, node: body.node });
  emitReady(step, release);
  if (release.not_activated_reason === undefined) {
    movePointer(step, release, { cause: "publish", actor: publish.created_by });
    const reason = `published by ${publish_id}`;
    step.audit({ action: "activate", resource: release.version, actor: publish.created_by, reason });
  }
  return { type: "ended", publish_id, applied: true };
}

function findSameImage(step: Step, publish: PublishRecord, body: ReadyCommand): ReleaseRecord | undefined {
  const { channel, commit } = publish;
  const version = step.get(KEYS.image(publish, { channel, commit, image: body.artifact.image_digest }));
  const release =
    version === undefined ? undefined : step.get(KEYS.release(publish, parseVersion(version) ?? 0));
  return release?.state === "retired" ? undefined : release;
}

function writeRelease(step: Step, publish: PublishRecord, body: ReadyCommand): ReleaseRecord {
  const number = step.openProject().last_version + 1;
  const project = step.updateProject({ last_version: number });
  const notActivated = whyNotActivated(project, publish);
  const { org, publish_id, order, channel, commit } = publish;
  const release: ReleaseRecord = {
    ...body.artifact,
    org,
    project: publish.project,
    version: `v${number}`,
    publish_id,
    order,
    state: "ready",
    channel,
    ...(notActivated !== undefined && { not_activated_reason: notActivated }),
    commit,
    ...(publish.source !== undefined && { source: publish.source }),
    ...(publish.dirty !== undefined && { dirty: publish.dirty }),
    created_at: step.at,
    created_by: publish.created_by,
    stats: body.stats,
  };
  step.put(KEYS.release(release, number), release);
  step.put(KEYS.image(release, { channel, commit, image: release.image_digest }), release.version);
  if (commit !== null) step.put(KEYS.releaseOfCommit(release, commit, number), number);
  writeDigests(step, release);
  return release;
}

/** The expired hold has been settled: what is still there holds. */
function whyNotActivated(project: ProjectRecord, publish: PublishRecord): NotActivatedReason | undefined {
  if (!publish.activate) return "not_requested";
  if (project.hold !== undefined) return "held";
  return publish.order > project.auto_order ? undefined : "older";
}

/** What the project's repository serves from now on (ruling 8). */
function writeDigests(step: Step, release: ReleaseRecord): void {
  const { version, manifest, config, layers } = release;
  const write = (kind: RepositoryDigestRow["kind"], { digest, mediaType, size }: typeof manifest) => {
    const key = KEYS.repositoryDigest(release, digest);
    if (step.get(key) === undefined) step.put(key, { kind, media_type: mediaType, size, version });
  };
  write("manifest", manifest);
  write("config", config);
  for (const layer of layers) write("layer", layer);
}

function emitReady(step: Step, release: ReleaseRecord): void {
  const { version, publish_id, image_digest, tree, channel, commit, not_activated_reason } = release;
  step.emit("release.ready", version, {
    version,
    publish_id,
    image_digest,
    tree,
    channel,
    commit,
    build_kind: release.build_kind,
    build_reason: release.build_reason,
    ...(release.requested_kind !== undefined && { requested_kind: release.requested_kind }),
    execution: release.execution,
    activated: not_activated_reason === undefined,
    ...(not_activated_reason !== undefined && { not_activated_reason }),
  });
}
