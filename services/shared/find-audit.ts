import { behindCommand } from "../../proto/events.ts";
import type { Name } from "../../proto/names.ts";
import type { AuditRecord } from "../../proto/records.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS, RANGES } from "./state-keys.ts";

/** Rows of one millisecond that are looked at: more commands of one org than that are never applied in one. */
const SAME_TIME_MAX = 1_000;

/**
 * The audit row of an org that was written at a time of the log, behind a position, and fits. Rows are keyed by position and the log's
 * time never goes back, so it is a binary search however long the trail is.
 */
export function findAudit(
  view: StateView,
  org: Name,
  options: { at: string; behindSeq: number; fits(row: AuditRecord): boolean },
): AuditRecord | undefined {
  const { at, behindSeq, fits } = options;
  const from = (seq: number, limit: number): AuditRecord[] => {
    const after = KEYS.audit(org, behindCommand(seq - 1));
    return [...view.range(RANGES.audit(org), { after, limit })].map((row) => row.value);
  };
  let [low, high] = [behindSeq, view.get(KEYS.meta())?.seq ?? 0];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const next = from(middle, 1)[0];
    if (next === undefined || next.at >= at) high = middle;
    else low = next.seq + 1;
  }
  for (const row of from(low, SAME_TIME_MAX)) {
    if (row.at > at) return undefined;
    if (row.at === at && fits(row)) return row;
  }
  return undefined;
}
