import type { CommandValue, ProjectSetCommand } from "../../../proto/commands.ts";
import type { Name } from "../../../proto/names.ts";
import type { Retention } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { beginCounting } from "./kept-bytes.ts";
import { shareTurns } from "./project-turns.ts";
import type { Step } from "./step.ts";

/** `project.set`: changes the settings that are named and keeps the others. */
export function setProject(step: Step, body: ProjectSetCommand): CommandValue {
  const before = step.openProject().settings;
  const settings = { ...before, ...body.settings };
  const changed = JSON.stringify(settings) !== JSON.stringify(before);
  if (changed) {
    const { org, project } = step.updateProject({ settings });
    noteRetention(step, { org, project }, settings.retention);
    if (typeof settings.quota_bytes === "number") beginCounting(step);
    if (settings.max_concurrency !== before.max_concurrency) shareTurns(step);
  }
  return { type: "done", changed };
}

/** The sweeper finds by a row of its own which projects let go of releases: it never walks all of them. */
function noteRetention(step: Step, at: { org: Name; project: Name }, retention: Retention | undefined): void {
  const key = KEYS.retention(at);
  const wanted = retention?.keep_last !== undefined || retention?.keep_for !== undefined;
  if (wanted === (step.get(key) !== undefined)) return;
  if (wanted) step.put(key, at);
  else step.remove(key);
}
