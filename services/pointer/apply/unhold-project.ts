import type { CommandValue } from "../../../proto/commands.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/** `unhold`: releases the hold. What became ready meanwhile stays inactive: activating it is a decision of its own. */
export function unholdProject(step: Step): CommandValue {
  step.openProject();
  const { hold, ...released } = settleHold(step);
  if (hold === undefined) return { type: "done", changed: false };
  step.putProject(released);
  step.emit("project.unheld", released.project, { cause: "released", reason: hold.reason });
  return { type: "done", changed: true };
}
