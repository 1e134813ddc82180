import type { ProjectRecord } from "../../../proto/records.ts";
import { isHeld } from "../../shared/state-queries.ts";
import type { Step } from "./step.ts";

/**
 * Ends a hold whose time is over by the log's clock. Nothing runs when a hold expires, so the first command that looks at the
 * project afterwards says so; it must not be refused any more.
 */
export function settleHold(step: Step): ProjectRecord {
  const project = step.openProject();
  if (project.hold === undefined || isHeld(project, step.timeMs)) return project;
  const { hold, ...released } = project;
  step.putProject(released);
  step.emit("project.unheld", project.project, { cause: "expired", until: hold.until ?? null });
  return step.openProject();
}
