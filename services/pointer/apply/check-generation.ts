import type { Step } from "./step.ts";

/**
 * Refuses with GENERATION_STALE, naming the present state, when the caller looked at another generation. It comes before
 * every other outcome: of many callers with one expectation exactly one wins, even if all ask for the same version.
 */
export function checkGeneration(step: Step, expected: number | undefined): void {
  const { org, project, generation, current } = step.openProject();
  if (expected === undefined || expected === generation) return;
  const message = `${org}/${project} is at generation ${generation}, not ${expected}`;
  step.refuse("GENERATION_STALE", message, { generation, expected, ...(current !== null && { current }) });
}
