import type { CommandValue } from "../../../proto/commands.ts";
import type { SubscriptionRecord } from "../../../proto/records.ts";
import type { SubscriptionClaimCommand } from "../../../proto/subscription-commands.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `subscription.claim`: makes the group where it does not exist, and its holder whoever asks while no other claim lives. */
export function claimSubscription(step: Step, body: SubscriptionClaimCommand): CommandValue {
  const { org } = step.command;
  const { group, holder, limit } = body;
  const key = KEYS.subscription(org, group);
  const known = step.get(key);
  const held_until = new Date(step.timeMs + body.ttl_ms).toISOString();
  if (known === undefined) {
    if (step.get(KEYS.org(org)) === undefined) return step.refuse("NOT_FOUND", `there is no org ${org}`);
    if ([...step.range(RANGES.subscriptions(org), { limit })].length >= limit)
      return step.refuse("RATE_LIMITED", `${org} has ${limit} subscriptions already`, { limit });
    const subscription: SubscriptionRecord = {
      group,
      org,
      ...(body.of_project === undefined ? {} : { of_project: body.of_project }),
      cursor: body.from,
      epoch: 1,
      holder,
      held_until,
      created_at: step.at,
      updated_at: step.at,
    };
    step.put(key, subscription);
    return { type: "subscription", held: true, subscription };
  }
  if (known.of_project !== body.of_project) {
    const of = known.of_project === undefined ? `all projects of ${org}` : `${org}/${known.of_project}`;
    return step.refuse("STATE_CONFLICT", `subscription ${group} is of ${of}`, { group });
  }
  const isFree = Date.parse(known.held_until) <= step.timeMs;
  if (known.holder !== holder && !isFree) return { type: "subscription", held: false, subscription: known };
  // A holder whose claim had ended is a new one: another may have read meanwhile, and have left again.
  const epoch = isFree ? known.epoch + 1 : known.epoch;
  const subscription = { ...known, epoch, holder, held_until, updated_at: step.at };
  step.put(key, subscription);
  return { type: "subscription", held: true, subscription };
}
