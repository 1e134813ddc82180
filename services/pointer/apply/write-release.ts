import type { Digest } from "../../../proto/digest.ts";
import { type Name, parseVersion } from "../../../proto/names.ts";
import type {
  Actor,
  ArtifactRecord,
  Channel,
  NotActivatedReason,
  PublishStats,
  ReleaseRecord,
} from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { countBytes } from "./kept-bytes.ts";
import { addReferences } from "./repository-digests.ts";
import type { Step } from "./step.ts";

/** Releases are production's, whatever channel their artifact came by. */
const CHANNEL = "production";

/** Where a release comes from. */
export interface ReleaseOrigin {
  readonly publish_id: string;
  readonly order: number;
  readonly commit: string | null;
  readonly source: string | undefined;
  readonly dirty: boolean | undefined;
  readonly created_by: Actor;
  readonly stats: PublishStats;
  readonly promoted_from?: Channel;
  /** Why it will not go live now; undefined: the caller moves the pointer to it. */
  readonly notActivated: NotActivatedReason | undefined;
}

/** Allocates the next version of the opened project for an artifact and writes everything that makes it a release. */
export function writeRelease(step: Step, artifact: ArtifactRecord, origin: ReleaseOrigin): ReleaseRecord {
  const number = step.openProject().last_version + 1;
  const { org, project } = step.updateProject({ last_version: number });
  const { publish_id, order, commit, notActivated } = origin;
  const release: ReleaseRecord = {
    ...artifact,
    org,
    project,
    version: `v${number}`,
    publish_id,
    order,
    state: "ready",
    channel: CHANNEL,
    ...(origin.promoted_from !== undefined && { promoted_from: origin.promoted_from }),
    ...(notActivated !== undefined && { not_activated_reason: notActivated }),
    commit,
    ...(origin.source !== undefined && { source: origin.source }),
    ...(origin.dirty !== undefined && { dirty: origin.dirty }),
    created_at: step.at,
    created_by: origin.created_by,
    stats: origin.stats,
  };
  step.put(KEYS.release(release, number), release);
  step.put(KEYS.image(release, { channel: CHANNEL, commit, image: release.image_digest }), release.version);
  if (commit !== null) step.put(KEYS.releaseOfCommit(release, commit, number), number);
  addReferences(step, release);
  countBytes(step, release.size_bytes);
  return release;
}

/** The kept release of the same commit with the same image. */
export function findSameImage(
  step: Step,
  of: { org: Name; project: Name; commit: string | null; image: Digest },
): ReleaseRecord | undefined {
  const { commit, image } = of;
  const version = step.get(KEYS.image(of, { channel: CHANNEL, commit, image }));
  const release = version === undefined ? undefined : step.get(KEYS.release(of, parseVersion(version) ?? 0));
  return release?.state === "retired" ? undefined : release;
}

export function emitReady(step: Step, release: ReleaseRecord): void {
  const { version, publish_id, image_digest, tree, channel, commit, not_activated_reason } = release;
  step.emit("release.ready", version, {
    version,
    publish_id,
    image_digest,
    tree,
    channel,
    ...(release.promoted_from !== undefined && { promoted_from: release.promoted_from }),
    commit,
    build_kind: release.build_kind,
    build_reason: release.build_reason,
    ...(release.requested_kind !== undefined && { requested_kind: release.requested_kind }),
    execution: release.execution,
    activated: not_activated_reason === undefined,
    ...(not_activated_reason !== undefined && { not_activated_reason }),
  });
}
