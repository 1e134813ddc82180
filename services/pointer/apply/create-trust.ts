import type { CommandValue, TrustCreateCommand } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `trust.create`. Refuses an id that is taken, and one trust more than an org may have. */
export function createTrust(step: Step, body: TrustCreateCommand): CommandValue {
  const { org, actor } = step.command;
  const { type: _type, trust_id: id, trust_project: project, ...trust } = body;
  if (step.get(KEYS.org(org)) === undefined) step.refuse("NOT_FOUND", `there is no org ${org}`);
  if (step.get(KEYS.trust(org, id)) !== undefined)
    step.refuse("STATE_CONFLICT", `the trust ${id} exists`, { trust_id: id });
  const limit = LIMITS.trustsPerOrg;
  if ([...step.range(RANGES.trusts(org), { limit })].length >= limit)
    step.refuse("QUOTA_EXCEEDED", `${org} has ${limit} trusts`, { limit });
  step.put(KEYS.trust(org, id), {
    id,
    org,
    ...(project !== undefined && { project }),
    ...trust,
    created_at: step.at,
    created_by: actor,
  });
  return { type: "done", changed: true };
}
