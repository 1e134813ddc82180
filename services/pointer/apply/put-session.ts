import { parseVersion } from "../../../proto/names.ts";
import type { SessionRecord } from "../../../proto/records.ts";
import type { StateKey } from "../../shared/state-db-tx.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** Writes a session with the rows that go with it: its end, and how many sessions the project and the release have. */
export function putSession(step: Step, before: SessionRecord | undefined, after: SessionRecord): void {
  if (before !== undefined) step.remove(expiryKey(before));
  else count(step, after, 1);
  const { org, project, session_id, expires_at } = after;
  step.put(KEYS.session(after, session_id), after);
  step.put(expiryKey(after), { org, project, session_id, expires_at });
}

/** Ends a session: nothing is left of it. */
export function dropSession(step: Step, session: SessionRecord): void {
  step.remove(KEYS.session(session, session.session_id));
  step.remove(expiryKey(session));
  count(step, session, -1);
}

function expiryKey(session: SessionRecord) {
  return KEYS.sessionExpiry(Date.parse(session.expires_at), session, session.session_id);
}

function count(step: Step, session: SessionRecord, by: 1 | -1): void {
  add(step, KEYS.sessionCount(session), by);
  add(step, KEYS.sessionPins(session, parseVersion(session.version) ?? 0), by);
}

function add(step: Step, key: StateKey<number>, by: 1 | -1): void {
  const after = (step.get(key) ?? 0) + by;
  if (after === 0) step.remove(key);
  else step.put(key, after);
}
