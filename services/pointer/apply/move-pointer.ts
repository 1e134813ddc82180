import { parseVersion } from "../../../proto/names.ts";
import type { ActivationCause, Actor, ReleaseRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/**
 * Moves the opened project's pointer to a release: generation, history, both releases' states, events, all in the command's
 * transaction. The only place that changes `current`.
 */
export function movePointer(
  step: Step,
  to: ReleaseRecord,
  by: { cause: ActivationCause; actor: Actor; reason?: string | undefined },
): { generation: number; from: string | null } {
  const project = step.openProject();
  const generation = project.generation + 1;
  const from = project.current;
  const reason = by.reason === undefined ? {} : { reason: by.reason };
  const { not_activated_reason: _, ...release } = to;
  step.put(releaseKey(to), {
    ...release,
    state: "active",
    activated_at: step.at,
    activated_by: by.actor,
    generation,
  });
  step.put(KEYS.history(project, generation), {
    generation,
    from,
    to: to.version,
    image_digest: to.image_digest,
    cause: by.cause,
    actor: by.actor,
    at: step.at,
    ...reason,
  });
  step.updateProject({
    current: to.version,
    generation,
    // What is older than a release that was live never goes live by itself (ruling 1). An explicit activation counts with the
    // order of its release, not with everything accepted so far: a publish that was accepted after the activated one is newer
    // than it, and whoever wants to stop that one too holds the project.
    auto_order: Math.max(project.auto_order, to.order),
  });
  step.emit("release.activated", to.version, {
    generation,
    from,
    to: to.version,
    image_digest: to.image_digest,
    cause: by.cause,
    actor: by.actor,
    ...reason,
  });
  if (from !== null)
    supersede(step, from, { by: to.version, generation, rolledBack: by.cause === "rollback" });
  return { generation, from };
}

function supersede(
  step: Step,
  version: string,
  end: { by: string; generation: number; rolledBack: boolean },
): void {
  const key = KEYS.release(step.openProject(), parseVersion(version) ?? 0);
  const release = step.get(key);
  if (release === undefined) throw new Error(`the pointer names ${version}, which does not exist`);
  step.put(key, {
    ...release,
    state: "superseded",
    ...(end.rolledBack && { rolled_back_generation: end.generation }),
  });
  step.emit("release.superseded", version, { version, by: end.by, generation: end.generation });
}

function releaseKey(release: ReleaseRecord) {
  return KEYS.release(release, parseVersion(release.version) ?? 0);
}
