import type { Command } from "../../proto/commands.ts";
import type { SessionExpiryRow } from "../shared/state-keys.ts";
import { listDueSessions } from "../shared/state-queries.ts";
import { REPEAT_MS } from "./expire-previews.ts";
import type { RelaySource } from "./relay-events.ts";
import { sweepCommand } from "./sweep-command.ts";

/** Bounds one command, and with ids of 128 characters its message: 60 KiB. */
const SESSIONS_PER_COMMAND = 256;
/** Bounds one sweep; ten times what 300 starts a second need. */
const SESSIONS_PER_SWEEP = 3_000;

/**
 * Sends `session.expire` commands for the sessions whose end has come, many in one: at 300 starts a second as many end. As with
 * previews the log decides, and two sweepers that see the same send the same commands.
 * @returns how many sessions were due. @throws when the log does not answer: call it again
 */
export async function expireSessions(options: {
  source: RelaySource;
  append(command: Command): Promise<unknown>;
  nowMs: number;
}): Promise<number> {
  const { source, append, nowMs } = options;
  const due = source.read((view) => listDueSessions(view, nowMs, SESSIONS_PER_SWEEP));
  const projects = new Map<string, SessionExpiryRow[]>();
  for (const row of due) {
    const name = `${row.org}/${row.project}`;
    const rows = projects.get(name) ?? [];
    rows.push(row);
    projects.set(name, rows);
  }
  for (const rows of projects.values()) {
    for (let at = 0; at < rows.length; at += SESSIONS_PER_COMMAND)
      await append(commandOf(rows.slice(at, at + SESSIONS_PER_COMMAND), nowMs));
  }
  return due.length;
}

function commandOf(rows: readonly SessionExpiryRow[], nowMs: number): Command {
  const [first] = rows;
  if (first === undefined) throw new Error("a command for no session");
  const { org, project } = first;
  const sessions = rows.map(({ session_id, expires_at }) => ({ session_id, expires_at }));
  const nth = Math.floor((nowMs - Date.parse(first.expires_at)) / REPEAT_MS);
  return sweepCommand({ org, project }, { type: "session.expire", sessions }, [org, project, sessions, nth]);
}
