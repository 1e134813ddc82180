import type { CommandValue, SessionExpireCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { dropSession } from "./put-session.ts";
import type { Step } from "./step.ts";

/**
 * `session.expire`: ends those sessions whose end is still the one that the sender saw and has come by the log's clock. What was
 * ended, started anew or extended before this command in the log has decided otherwise.
 */
export function expireSessions(step: Step, body: SessionExpireCommand): CommandValue {
  const project = step.openProject();
  let changed = false;
  for (const { session_id, expires_at } of body.sessions) {
    const session = step.get(KEYS.session(project, session_id));
    if (session?.expires_at !== expires_at || Date.parse(expires_at) > step.timeMs) continue;
    dropSession(step, session);
    changed = true;
  }
  return { type: "done", changed };
}
