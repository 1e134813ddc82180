import type { CommandValue, StartCommand } from "../../../proto/commands.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { findPublish } from "./find-publish.ts";
import type { Step } from "./step.ts";

/**
 * `start`: a node took the publish up. The attempt must be higher than any before: of two nodes that were handed the same
 * job, the later attempt owns it, and the earlier one's `ready` will be ignored.
 */
export function startPublish(step: Step, body: StartCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const detail = { publish_id: body.publish_id, state: publish.state, attempt: publish.attempt };
  if (TERMINAL_STATES.has(publish.state))
    step.refuse("STATE_CONFLICT", `${body.publish_id} is ${publish.state}`, detail);
  if (body.attempt <= publish.attempt) {
    step.refuse("STATE_CONFLICT", `${body.publish_id} is at attempt ${publish.attempt} already`, detail);
  }
  if (step.get(KEYS.waitingWork(publish, publish.order)) !== undefined)
    step.refuse("STATE_CONFLICT", `${body.publish_id} waits for a turn of its project`, detail);
  step.openProject(publish.project);
  const first = publish.started_at === undefined;
  step.put(KEYS.publish(publish.publish_id), {
    ...publish,
    state: "ingesting",
    attempt: body.attempt,
    node: body.node,
    started_at: publish.started_at ?? step.at,
  });
  if (first) {
    const data = { publish_id: publish.publish_id, attempt: body.attempt, node: body.node };
    step.emit("publish.started", publish.publish_id, data);
  }
  return { type: "done", changed: true };
}
