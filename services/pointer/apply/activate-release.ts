import type { ActivateCommand, CommandValue } from "../../../proto/commands.ts";
import { parseVersion } from "../../../proto/names.ts";
import { checkGeneration } from "./check-generation.ts";
import { findRelease } from "./find-release.ts";
import { movePointer } from "./move-pointer.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/** `activate`: makes any kept release live, also while the project is held. What is live already stays as it is. */
export function activateRelease(step: Step, body: ActivateCommand): CommandValue {
  const project = step.openProject();
  checkGeneration(step, body.expected_generation);
  const release = findRelease(step, body.version);
  const { version: to } = release;
  const cause = "activate";
  if (project.current === to) {
    return { type: "pointer", changed: false, generation: project.generation, from: to, to, cause };
  }
  if (body.forward_only === true && (parseVersion(to) ?? 0) < (parseVersion(project.current ?? "") ?? 0))
    step.refuse("FORBIDDEN", "the token lacks the scope rollback", { scope: "rollback" });
  settleHold(step);
  const moved = movePointer(step, release, { cause, actor: step.command.actor, reason: body.reason });
  return { type: "pointer", changed: true, ...moved, to, cause };
}
