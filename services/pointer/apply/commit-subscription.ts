import type { CommandValue } from "../../../proto/commands.ts";
import { isBehind, parseCursor } from "../../../proto/events.ts";
import type { SubscriptionCommitCommand } from "../../../proto/subscription-commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `subscription.commit`: moves the group's cursor, never back, and keeps its holder. Fenced by the epoch. */
export function commitSubscription(step: Step, body: SubscriptionCommitCommand): CommandValue {
  const { org } = step.command;
  const { group, epoch, cursor } = body;
  const key = KEYS.subscription(org, group);
  const known = step.get(key);
  if (known === undefined) return step.refuse("NOT_FOUND", `${org} has no subscription ${group}`);
  if (known.epoch !== epoch)
    return step.refuse(
      "SUBSCRIPTION_LOST",
      `subscription ${org}/${group} is at epoch ${known.epoch}, not ${epoch}`,
      {
        group,
        epoch: known.epoch,
        cursor: known.cursor,
      },
    );
  const subscription = {
    ...known,
    cursor: isBehind(parseCursor(cursor), parseCursor(known.cursor)) ? cursor : known.cursor,
    held_until: body.leave ? step.at : new Date(step.timeMs + body.ttl_ms).toISOString(),
    updated_at: step.at,
  };
  step.put(key, subscription);
  return { type: "subscription", held: !body.leave, subscription };
}
