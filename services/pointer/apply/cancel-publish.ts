import type { CancelCommand, CommandValue } from "../../../proto/commands.ts";
import { type PublishRecord, TERMINAL_STATES } from "../../../proto/records.ts";
import { endPublish } from "./end-publish.ts";
import { findPublish } from "./find-publish.ts";
import type { Step } from "./step.ts";

/** `cancel`: ends a publish that has not ended. Refuses with STATE_CONFLICT naming the state otherwise. */
export function cancelPublish(step: Step, body: CancelCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const { publish_id, state } = publish;
  if (TERMINAL_STATES.has(state))
    step.refuse("STATE_CONFLICT", `${publish_id} is ${state}`, { publish_id, state });
  step.openProject(publish.project);
  cancelUnended(step, publish, body.reason);
  return { type: "ended", publish_id, applied: true };
}

/** Cancels a publish of the opened project that has not ended. */
export function cancelUnended(step: Step, publish: PublishRecord, reason: string | undefined): void {
  const { publish_id } = publish;
  const message =
    reason === undefined ? `${publish_id} was cancelled` : `${publish_id} was cancelled: ${reason}`;
  endPublish(step, publish, { state: "cancelled", error: { code: "CANCELLED", message, detail: {} } });
  step.emit("publish.cancelled", publish_id, { publish_id, ...(reason !== undefined && { reason }) });
}
