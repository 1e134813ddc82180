import assert from "node:assert/strict";
import type { CommandBody } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";
import { KEYS, RANGES } from "../../services/shared/state-keys.ts";
import { listSessions } from "../../services/shared/state-queries.ts";
import type { MemoryState } from "../helpers/memory-state.ts";
import type { ModelProject } from "./model-project.ts";

type SessionBody = Extract<CommandBody, { type: `session.${string}` }>;

/** What the commands `session.*` come to, and the sessions that live afterwards. */
export function ofSession(project: ModelProject, body: SessionBody, timeMs: number): string {
  if (body.type === "session.expire") {
    const due = body.sessions.filter(({ session_id, expires_at }) => {
      const endsMs = project.sessions.get(session_id)?.endsMs;
      return endsMs === Date.parse(expires_at) && endsMs <= timeMs;
    });
    for (const { session_id } of due) project.sessions.delete(session_id);
    return due.length > 0 ? "changed" : "unchanged";
  }
  const { session_id } = body;
  const known = project.sessions.get(session_id);
  if (body.type === "session.end") {
    if (known === undefined) return "NOT_FOUND";
    project.sessions.delete(session_id);
    return "changed";
  }
  if (known !== undefined) {
    if (body.extend) known.endsMs = Math.max(known.endsMs, timeMs + body.ttl_ms);
    return `goes on with v${known.version}`;
  }
  if (project.current === undefined) return "NOTHING_ACTIVE";
  if (project.sessions.size >= body.limit) return "RATE_LIMITED";
  const generation = project.activations.length;
  project.sessions.set(session_id, { version: project.current, generation, endsMs: timeMs + body.ttl_ms });
  return `started with v${project.current}`;
}

/** Compares a project's sessions, their ends and their counts with the model. */
export function compareSessions(
  state: MemoryState,
  at: { org: Name; project: Name },
  expected: ModelProject,
): void {
  const sessions = [...expected.sessions].sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(
    listSessions(state, at).items.map((row) => [
      row.session_id,
      row.version,
      row.generation,
      Date.parse(row.expires_at),
    ]),
    sessions.map(([id, { version, generation, endsMs }]) => [id, `v${version}`, generation, endsMs]),
  );
  const ends = [...state.range(RANGES.sessionExpiry())].map((row) => row.value);
  assert.deepEqual(
    ends
      .filter(({ project }) => project === at.project)
      .map(({ session_id, expires_at }) => `${session_id} ${Date.parse(expires_at)}`)
      .sort(),
    sessions.map(([id, { endsMs }]) => `${id} ${endsMs}`),
  );
  assert.equal(state.get(KEYS.sessionCount(at)) ?? 0, sessions.length);
  for (let version = 1; version <= expected.releases.length; version++) {
    const pinned = sessions.filter(([, session]) => session.version === version).length;
    assert.equal(state.get(KEYS.sessionPins(at, version)) ?? 0, pinned);
  }
}
