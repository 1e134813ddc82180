import { LIMITS } from "../../proto/limits.ts";
import type { StateTx, StateView } from "./state-db-tx.ts";
import { KEYS } from "./state-keys.ts";

/**
 * Lets a state go on behind every number that the farm may have given since: what was done behind a backup, or in a log that was lost, is
 * undone, and a cursor of it must not come to mean something else, whose events its reader would skip.
 */
export function skipLostPlaces(tx: StateTx): void {
  const meta = tx.get(KEYS.meta());
  if (meta === undefined) return;
  const lost = { after: meta.seq, through: meta.seq + LIMITS.commandsLost };
  tx.put(KEYS.meta(), { ...meta, seq: lost.through });
  tx.put(KEYS.lostPlaces(), [...(tx.get(KEYS.lostPlaces()) ?? []), lost]);
}

/** Whether a place in the log is one that a restore, or the loss of the log, has undone. */
export function isLostPlace(view: Pick<StateView, "get">, seq: number): boolean {
  return view.get(KEYS.lostPlaces())?.some(({ after, through }) => seq > after && seq <= through) ?? false;
}
