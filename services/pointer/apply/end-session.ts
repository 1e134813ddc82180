import type { CommandValue, SessionEndCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { dropSession } from "./put-session.ts";
import type { Step } from "./step.ts";

/** `session.end`. Refuses with NOT_FOUND when it does not live, FORBIDDEN when another token started it and may not be overruled. */
export function endSession(step: Step, body: SessionEndCommand): CommandValue {
  const project = step.openProject();
  const { session_id } = body;
  const session = step.get(KEYS.session(project, session_id));
  if (session === undefined)
    return step.refuse("NOT_FOUND", `${project.org}/${project.project} has no session ${session_id}`);
  if (!body.of_any && session.created_by.id !== step.command.actor.id)
    step.refuse("FORBIDDEN", `another token started the session ${session_id}`, { scope: "activate" });
  dropSession(step, session);
  return { type: "done", changed: true };
}
