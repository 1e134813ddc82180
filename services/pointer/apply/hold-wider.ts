import type { CommandValue, WiderHoldCommand, WiderUnholdCommand } from "../../../proto/commands.ts";
import type { HoldRecord } from "../../../proto/records.ts";
import type { StateKey } from "../../shared/state-db-tx.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { refuseShorterHold } from "./refuse-shorter-hold.ts";
import type { Step } from "./step.ts";

/**
 * `org.hold`, `farm.hold`: no publish of any project below goes live by itself. One row, whatever the number of projects: their
 * events and records stay as they are, and each release that it keeps back says so.
 */
export function holdWider(step: Step, body: WiderHoldCommand): CommandValue {
  const key = rowOf(step, body);
  const { reason, until } = body;
  if (until !== undefined && !(Date.parse(until) > step.timeMs))
    step.refuse("USAGE", `a hold must end in the future, not at ${until}`);
  const before = step.get(key);
  const { org } = step.command;
  const named =
    body.type === "farm.hold"
      ? { what: "the farm", argument: "--all" }
      : { what: `org ${org}`, argument: org };
  refuseShorterHold(step, body, { before, ...named });
  if (before?.reason === reason && before.until === until) return { type: "done", changed: false };
  const end = until === undefined ? {} : { until };
  step.put(key, { reason, since: step.at, by: step.command.actor, ...end });
  return { type: "done", changed: true };
}

/** `org.unhold`, `farm.unhold`: releases that hold; those of the projects stay. */
export function unholdWider(step: Step, body: WiderUnholdCommand): CommandValue {
  const key = rowOf(step, body);
  if (step.get(key) === undefined) return { type: "done", changed: false };
  step.remove(key);
  return { type: "done", changed: true };
}

function rowOf(step: Step, body: WiderHoldCommand | WiderUnholdCommand): StateKey<HoldRecord> {
  if (body.type === "farm.hold" || body.type === "farm.unhold") return KEYS.farmHold();
  const { org } = step.command;
  if (step.get(KEYS.org(org)) === undefined) step.refuse("NOT_FOUND", `there is no org ${org}`);
  return KEYS.orgHold(org);
}
