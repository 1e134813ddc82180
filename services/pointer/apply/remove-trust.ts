import type { CommandValue, TrustRemoveCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `trust.remove`: its tokens are not looked up any more, and go when their time is over. */
export function removeTrust(step: Step, body: TrustRemoveCommand): CommandValue {
  const key = KEYS.trust(step.command.org, body.trust_id);
  if (step.get(key) === undefined) return step.refuse("NOT_FOUND", `there is no trust ${body.trust_id}`);
  step.remove(key);
  return { type: "done", changed: true };
}
