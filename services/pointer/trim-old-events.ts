import type { Command } from "../../proto/commands.ts";
import { type Cursor, formatCursor } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import type { StateKey, StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import { EVENTS_PER_TRIM } from "./apply/trim-events.ts";
import type { RelaySource } from "./relay-events.ts";
import { sweepCommand } from "./sweep-command.ts";

/**
 * Sends an `events.trim` for each org whose oldest events are older than `keepMs`, or more than {@link LIMITS.eventsPerOrg}. The place is
 * in the command: every replica lets go of the same ones. Two sweepers that see the same send the same command.
 * @returns how many were sent: while it is not 0 there may be more. @throws when the log does not answer: call it again
 */
export async function trimOldEvents(options: {
  source: RelaySource;
  append(command: Command): Promise<unknown>;
  nowMs: number;
  keepMs: number;
}): Promise<number> {
  const { source, append, nowMs, keepMs } = options;
  const due = source.read((view) =>
    [...view.range(RANGES.orgs())].flatMap(({ value: { org } }) => {
      const through = lastToTrim(view, org, nowMs - keepMs);
      return through === undefined ? [] : [{ org, through: formatCursor(through) }];
    }),
  );
  for (const { org, through } of due)
    await append(sweepCommand({ org }, { type: "events.trim", through }, ["events.trim", org, through]));
  return due.length;
}

/** The last of the org's oldest events that may go; at most as many as one command takes. */
function lastToTrim(view: StateView, org: Name, beforeMs: number): Cursor | undefined {
  let excess = eventsOf(view, org) - LIMITS.eventsPerOrg;
  let last: Cursor | undefined;
  for (const row of view.range(RANGES.orgEvents(org), { limit: EVENTS_PER_TRIM })) {
    const event = view.get(row.value as StateKey<{ at: string } & Cursor>);
    if (event === undefined || (Date.parse(event.at) >= beforeMs && excess <= 0)) break;
    excess -= 1;
    last = { seq: event.seq, k: event.k };
  }
  return last;
}

function eventsOf(view: StateView, org: Name): number {
  let count = -(view.get(KEYS.eventsTrimmed(org))?.count ?? 0);
  for (const { value } of view.range(RANGES.projects(org))) count += value.event_n;
  return count;
}
