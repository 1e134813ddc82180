import type { CommandValue, FailCommand } from "../../../proto/commands.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import { endPublish } from "./end-publish.ts";
import { findPublish } from "./find-publish.ts";
import { keepLog } from "./keep-log.ts";
import type { Step } from "./step.ts";

/**
 * `fail`: ends a publish, once. That of an attempt older than the running one is recorded and ignored; a newer one counts,
 * because a job that was handed out too often is failed by a node that never started it.
 */
export function failPublish(step: Step, body: FailCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const { publish_id } = publish;
  if (TERMINAL_STATES.has(publish.state) || body.attempt < publish.attempt) {
    return { type: "ended", publish_id, applied: false };
  }
  step.openProject(publish.project);
  endPublish(step, publish, { state: "failed", error: body.error, node: body.node });
  step.emit("publish.failed", publish_id, { publish_id, error: body.error });
  keepLog(step, publish, body.log);
  return { type: "ended", publish_id, applied: true };
}
