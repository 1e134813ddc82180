import type { CommandValue, TokenRevokeCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `token.revoke`: the record stays, marked; a revoked token is never accepted again. */
export function revokeToken(step: Step, body: TokenRevokeCommand): CommandValue {
  const key = KEYS.token(step.command.org, body.token_id);
  const token = step.get(key);
  if (token === undefined) return step.refuse("NOT_FOUND", `there is no token ${body.token_id}`);
  if (token.revoked_at !== undefined) return { type: "done", changed: false };
  step.put(key, { ...token, revoked_at: step.at });
  return { type: "done", changed: true };
}
