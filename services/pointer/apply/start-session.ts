import type { CommandValue, SessionStartCommand } from "../../../proto/commands.ts";
import { parseVersion } from "../../../proto/names.ts";
import type { SessionRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { putSession } from "./put-session.ts";
import { expiryText } from "./set-preview-end.ts";
import type { Step } from "./step.ts";

/**
 * `session.start`: pins the session to the release that is live at this place of the log. One that lives already answers with
 * the release that it has; it ends by a command only, so that its end and an extension have an order.
 */
export function startSession(step: Step, body: SessionStartCommand): CommandValue {
  const project = step.openProject();
  const { session_id } = body;
  const expires_at = expiryText(step.timeMs, body.ttl_ms);
  const known = step.get(KEYS.session(project, session_id));
  if (known !== undefined) {
    const isLater = body.extend && Date.parse(expires_at) > Date.parse(known.expires_at);
    const session = isLater ? { ...known, expires_at } : known;
    if (isLater) putSession(step, known, session);
    return { type: "session", started: false, session };
  }
  const release =
    project.current === null
      ? undefined
      : step.get(KEYS.release(project, parseVersion(project.current) ?? 0));
  if (release === undefined)
    return step.refuse("NOTHING_ACTIVE", `${project.org}/${project.project} has no active release`);
  const { limit } = body;
  if ((step.get(KEYS.sessionCount(project)) ?? 0) >= limit)
    step.refuse("RATE_LIMITED", `${limit} sessions of ${project.org}/${project.project} live already`, {
      limit,
    });
  const session: SessionRecord = {
    session_id,
    org: project.org,
    project: project.project,
    version: release.version,
    image_digest: release.image_digest,
    tree: release.tree,
    generation: project.generation,
    created_at: step.at,
    created_by: step.command.actor,
    expires_at,
  };
  putSession(step, undefined, session);
  return { type: "session", started: true, session };
}
