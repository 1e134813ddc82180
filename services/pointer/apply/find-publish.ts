import type { PublishRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** The publish of the command's org. Refuses with NOT_FOUND: another org's publish does not exist for it. */
export function findPublish(step: Step, publishId: string): PublishRecord {
  const { org, project } = step.command;
  const publish = step.get(KEYS.publish(publishId));
  if (
    publish === undefined ||
    publish.org !== org ||
    (project !== undefined && publish.project !== project)
  ) {
    return step.refuse("NOT_FOUND", `there is no publish ${publishId}`);
  }
  return publish;
}
