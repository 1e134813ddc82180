import type { ProjectRecord } from "../../../proto/records.ts";
import type { Step } from "./step.ts";

/**
 * Ends a hold whose time is over by the log's clock. Nothing runs when a hold expires, so the first command that looks at the
 * project afterwards says so; it must not be refused any more.
 */
export function settleHold(step: Step): ProjectRecord {
  const project = step.openProject();
  if (project.hold === undefined || isHeldAt(project, step.timeMs)) return project;
  const { hold, ...released } = project;
  step.replaceProject(released);
  step.emit("project.unheld", project.project, { cause: "expired", until: hold.until ?? null });
  return step.openProject();
}

/** Whether publishes of the project stay inactive at a moment. */
export function isHeldAt(project: ProjectRecord, timeMs: number): boolean {
  if (project.hold === undefined) return false;
  return project.hold.until === undefined || Date.parse(project.hold.until) > timeMs;
}
