import { parseVersion } from "../../../proto/names.ts";
import type { ReleaseRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** A release of the opened project that may go live. Refuses with NOT_FOUND or RELEASE_RETIRED. */
export function findRelease(step: Step, text: string): ReleaseRecord {
  const project = step.openProject();
  const version = parseVersion(text);
  const release = version === undefined ? undefined : step.get(KEYS.release(project, version));
  const name = `${project.org}/${project.project}@${text}`;
  if (release === undefined) return step.refuse("NOT_FOUND", `there is no release ${name}`);
  if (release.state === "retired")
    step.refuse("RELEASE_RETIRED", `${name} has been retired`, { version: text });
  return release;
}
