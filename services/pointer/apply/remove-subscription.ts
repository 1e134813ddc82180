import type { CommandValue } from "../../../proto/commands.ts";
import type { SubscriptionRemoveCommand } from "../../../proto/subscription-commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `subscription.remove`: forgets the group and its cursor. */
export function removeSubscription(step: Step, body: SubscriptionRemoveCommand): CommandValue {
  const key = KEYS.subscription(step.command.org, body.group);
  const changed = step.get(key) !== undefined;
  if (changed) step.remove(key);
  return { type: "done", changed };
}
