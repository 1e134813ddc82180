import type { CommandValue, EventsTrimCommand } from "../../../proto/commands.ts";
import { formatCursor, isBehind, parseCursor } from "../../../proto/events.ts";
import type { StateKey } from "../../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** Events that one command lets go of: bounds its transaction. Part of what old logs mean: it never changes. */
export const EVENTS_PER_TRIM = 1_000;

/** `events.trim`: the org's oldest events up to a place go; where that is stays known, so that an older cursor is refused. */
export function trimEvents(step: Step, body: EventsTrimCommand): CommandValue {
  const { org } = step.command;
  const through = parseCursor(body.through);
  const trimmed = step.get(KEYS.eventsTrimmed(org)) ?? { through: "0-0", count: 0 };
  const rows = [...step.range(RANGES.orgEvents(org), { limit: EVENTS_PER_TRIM })];
  let last = parseCursor(trimmed.through);
  let count = trimmed.count;
  for (const row of rows) {
    const event = step.get(KEYS.event(placeOf(row.value)));
    if (event === undefined || isBehind(event, through)) break;
    step.remove(KEYS.event(event));
    step.remove(KEYS.projectEvent(event, event));
    step.remove(row.key as StateKey<string>);
    last = event;
    count += 1;
  }
  if (count === trimmed.count) return { type: "done", changed: false };
  step.put(KEYS.eventsTrimmed(org), { through: formatCursor(last), count });
  return { type: "done", changed: true };
}

/** The place in an event's key: `event/SEQ/K`. */
function placeOf(key: string): { seq: number; k: number } {
  const [, seq, k] = key.split("/");
  return { seq: Number(seq), k: Number(k) };
}
