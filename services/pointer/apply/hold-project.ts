import type { CommandValue, HoldCommand } from "../../../proto/commands.ts";
import type { HoldRecord } from "../../../proto/records.ts";
import { refuseShorterHold } from "./refuse-shorter-hold.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/** `hold`: later publishes become ready but not live. Repeating it changes nothing; another reason or end replaces the hold. */
export function holdProject(step: Step, body: HoldCommand): CommandValue {
  step.openProject();
  if (body.until !== undefined && !(Date.parse(body.until) > step.timeMs)) {
    step.refuse("USAGE", `a hold must end in the future, not at ${body.until}`);
  }
  const project = settleHold(step);
  const argument = `${project.org}/${project.project}`;
  refuseShorterHold(step, body, { before: project.hold, what: argument, argument });
  const { reason } = body;
  const end = body.until === undefined ? {} : { until: body.until };
  if (project.hold !== undefined && project.hold.reason === reason && project.hold.until === body.until) {
    return { type: "done", changed: false };
  }
  const hold: HoldRecord = { reason, since: step.at, by: step.command.actor, ...end };
  step.updateProject({ hold });
  step.emit("project.held", project.project, { reason, ...end });
  return { type: "done", changed: true };
}
