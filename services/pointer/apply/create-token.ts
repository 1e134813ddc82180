import type { CommandValue, TokenCreateCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `token.create`: only the hash of the token comes this way. Refuses an id or a hash that is taken with STATE_CONFLICT. */
export function createToken(step: Step, body: TokenCreateCommand): CommandValue {
  const { org, actor } = step.command;
  const { token_id: id, hash } = body;
  if (step.get(KEYS.org(org)) === undefined) step.refuse("NOT_FOUND", `there is no org ${org}`);
  const known = step.get(KEYS.tokenByHash(hash));
  if (known?.org === org && known.id === id) return { type: "done", changed: false };
  if (known !== undefined || step.get(KEYS.token(org, id)) !== undefined) {
    step.refuse("STATE_CONFLICT", `the token ${id} exists`, { token_id: id });
  }
  step.put(KEYS.token(org, id), {
    id,
    org,
    ...(body.token_project !== undefined && { project: body.token_project }),
    hash,
    scopes: body.scopes,
    created_at: step.at,
    created_by: actor,
    ...(body.expires_at !== undefined && { expires_at: body.expires_at }),
  });
  step.put(KEYS.tokenByHash(hash), { org, id });
  return { type: "done", changed: true };
}
