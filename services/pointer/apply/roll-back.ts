import type { CommandValue, RollbackCommand } from "../../../proto/commands.ts";
import type { ProjectRecord, ReleaseRecord } from "../../../proto/records.ts";
import { rollbackTarget } from "../../shared/rollback-target.ts";
import { checkGeneration } from "./check-generation.ts";
import { findRelease } from "./find-release.ts";
import { movePointer } from "./move-pointer.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/**
 * `rollback`: back to `to`, or to the newest earlier activation that was never rolled back from. The project is held
 * afterwards, so that the next publish does not bring back what was just taken away.
 */
export function rollBack(step: Step, body: RollbackCommand): CommandValue {
  const project = step.openProject();
  checkGeneration(step, body.expected_generation);
  const from = project.current;
  if (from === null)
    return step.refuse("NOTHING_ACTIVE", `${project.org}/${project.project} has no active release`);
  const release = body.to === undefined ? findTarget(step, project) : findRelease(step, body.to);
  const { version: to } = release;
  const cause = "rollback";
  if (to === from)
    return { type: "pointer", changed: false, generation: project.generation, from, to, cause };
  settleHold(step);
  const moved = movePointer(step, release, { cause, actor: step.command.actor, reason: body.reason });
  const reason = `rollback from ${from} to ${to}${body.reason === undefined ? "" : `: ${body.reason}`}`;
  // It takes the place of a hold with an end: what was rolled back must not come back by the passing of time.
  step.updateProject({ hold: { reason, since: step.at, by: step.command.actor } });
  step.emit("project.held", project.project, { reason });
  return { type: "pointer", changed: true, ...moved, to, cause };
}

function findTarget(step: Step, project: ProjectRecord): ReleaseRecord {
  return (
    rollbackTarget(step, project) ??
    step.refuse(
      "NO_ROLLBACK_TARGET",
      `${project.org}/${project.project} has no earlier activation to go back to`,
    )
  );
}
