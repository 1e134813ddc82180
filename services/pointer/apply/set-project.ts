import type { CommandValue, ProjectSetCommand } from "../../../proto/commands.ts";
import type { Step } from "./step.ts";

/** `project.set`: changes the settings that are named and keeps the others. */
export function setProject(step: Step, body: ProjectSetCommand): CommandValue {
  const before = step.openProject().settings;
  const settings = { ...before, ...body.settings };
  const changed = JSON.stringify(settings) !== JSON.stringify(before);
  if (changed) step.updateProject({ settings });
  return { type: "done", changed };
}
