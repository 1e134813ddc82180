import type { CommandValue, RetireCommand } from "../../../proto/commands.ts";
import { parseVersion } from "../../../proto/names.ts";
import type { ReleaseRecord } from "../../../proto/records.ts";
import { retentionRule } from "../../shared/retention-rule.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { whyKept } from "../../shared/why-kept.ts";
import { countBytes } from "./kept-bytes.ts";
import { dropReferences } from "./repository-digests.ts";
import type { Step } from "./step.ts";

/**
 * `retire`: the release stays in the lists as history, but cannot go live again, and nothing keeps its content. What is in use is
 * refused. An automatic one is judged anew here, because the pointer may have moved since the sweeper looked; a person may
 * retire what the retention rule would keep.
 */
export function retireRelease(step: Step, body: RetireCommand): CommandValue {
  const project = step.openProject();
  const release = findAny(step, body.version);
  if (release.state === "retired") return { type: "done", changed: false };
  const automatic = body.automatic === true;
  const kept = whyKept(step, release);
  if (kept !== undefined && !automatic)
    step.refuse("RELEASE_IN_USE", `${project.org}/${project.project}@${release.version}: ${kept}`, {
      version: release.version,
      kept_by: kept,
    });
  const rule = retentionRule(step, project, step.timeMs);
  if (automatic && (kept !== undefined || rule === undefined || rule.keeps(release)))
    return { type: "done", changed: false };

  dropReferences(step, release);
  countBytes(step, -release.size_bytes);
  const { not_activated_reason: _, ...rest } = release;
  step.put(KEYS.release(release, parseVersion(release.version) ?? 0), {
    ...rest,
    state: "retired",
    retired_at: step.at,
    retired_by: step.command.actor,
  });
  step.emit("release.retired", release.version, {
    version: release.version,
    image_digest: release.image_digest,
    cause: automatic ? "retention" : "retire",
    actor: step.command.actor,
    ...(body.reason !== undefined && { reason: body.reason }),
  });
  return { type: "done", changed: true };
}

function findAny(step: Step, text: string): ReleaseRecord {
  const project = step.openProject();
  const version = parseVersion(text);
  const release = version === undefined ? undefined : step.get(KEYS.release(project, version));
  return release ?? step.refuse("NOT_FOUND", `there is no release ${project.org}/${project.project}@${text}`);
}
