import type { CommandValue, OidcExchangeCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/**
 * `oidc.exchange`: the trust decides what the token may do, as it is at this place of the log; an id token that was used here
 * or through another api before is refused. Token and `jti` remove themselves when their time is over.
 */
export function exchangeIdToken(step: Step, body: OidcExchangeCommand): CommandValue {
  const { org } = step.command;
  const { token_id: id, hash, jti } = body;
  const trust = step.get(KEYS.trust(org, body.trust_id));
  if (trust === undefined) return step.refuse("NOT_FOUND", `there is no trust ${body.trust_id}`);
  if (step.get(KEYS.usedIdToken(jti)) !== undefined)
    step.refuse("STATE_CONFLICT", "the id token was used before", { jti });
  if (step.get(KEYS.tokenByHash(hash)) !== undefined || step.get(KEYS.token(org, id)) !== undefined)
    step.refuse("STATE_CONFLICT", `the token ${id} exists`, { token_id: id });
  const project = trust.project ?? body.token_project;
  step.put(KEYS.usedIdToken(jti), { org, token_id: id });
  step.put(KEYS.token(org, id), {
    id,
    org,
    ...(project !== undefined && { project }),
    hash,
    scopes: trust.scopes,
    created_at: step.at,
    created_by: { kind: "trust", id: trust.id },
    expires_at: body.expires_at,
    trust: trust.id,
  });
  step.put(KEYS.tokenByHash(hash), { org, id });
  const { seq } = step;
  step.put(KEYS.rowExpiry(body.jti_expires_ms, { seq, k: 0 }), [KEYS.usedIdToken(jti)]);
  step.put(KEYS.rowExpiry(Date.parse(body.expires_at), { seq, k: 1 }), [
    KEYS.token(org, id),
    KEYS.tokenByHash(hash),
  ]);
  return { type: "done", changed: true };
}
