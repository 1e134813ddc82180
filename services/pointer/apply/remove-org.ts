import type { CommandValue } from "../../../proto/commands.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/**
 * `org.remove`: only when nothing is left in it, and never by one of its own tokens, which would leave nobody to ask. Tokens,
 * trusts and subscriptions go with it, so that they do not come back with an org of that name; its audit trail stays.
 */
export function removeOrg(step: Step): CommandValue {
  const { org, actor } = step.command;
  if (step.get(KEYS.org(org)) === undefined) step.refuse("NOT_FOUND", `there is no org ${org}`);
  if ([...step.range(RANGES.projects(org), { limit: 1 })].length > 0)
    step.refuse("STATE_CONFLICT", `${org} has projects`, { org });
  if ([...step.range(RANGES.webhooks(org), { limit: 1 })].length > 0)
    step.refuse("STATE_CONFLICT", `${org} has webhooks`, { org });
  const tokens = [...step.range(RANGES.tokens(org))].map((row) => row.value);
  if (tokens.some(({ id }) => id === actor.id))
    step.refuse("STATE_CONFLICT", `the token that asks belongs to ${org}`, { org });
  for (const { id, hash } of tokens) {
    step.remove(KEYS.token(org, id));
    step.remove(KEYS.tokenByHash(hash));
  }
  for (const { value } of [...step.range(RANGES.trusts(org))]) step.remove(KEYS.trust(org, value.id));
  for (const { value } of [...step.range(RANGES.subscriptions(org))])
    step.remove(KEYS.subscription(org, value.group));
  step.remove(KEYS.orgHold(org));
  step.remove(KEYS.org(org));
  return { type: "done", changed: true };
}
