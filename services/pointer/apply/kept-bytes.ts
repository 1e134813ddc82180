import { RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/**
 * Bytes of the files of the project's kept releases and living previews, each release counted whole: what a quota limits, and what no
 * other project's content has a part in. Counted from the first quota on, as logs from before have to give the state that they gave.
 */
export function countBytes(step: Step, delta: number): void {
  const { kept_bytes: kept } = step.openProject();
  if (kept !== undefined && delta !== 0) step.updateProject({ kept_bytes: kept + delta });
}

/** Begins to count, once. */
export function beginCounting(step: Step): void {
  const project = step.openProject();
  if (project.kept_bytes !== undefined) return;
  let bytes = 0;
  for (const { value: release } of step.range(RANGES.releases(project)))
    if (release.state !== "retired") bytes += release.size_bytes;
  for (const { value: preview } of step.range(RANGES.previews(project)))
    if (preview.state === "ready") bytes += preview.size_bytes;
  step.updateProject({ kept_bytes: bytes });
}
