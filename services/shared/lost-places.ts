import { LIMITS } from "../../proto/limits.ts";
import type { StateWriter } from "./state-db.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS } from "./state-keys.ts";

/**
 * Lets a state that was restored go on behind every number that the farm may have given since: what was done behind the backup is lost,
 * and a cursor of it must not come to mean something else, whose events its reader would skip.
 */
export function skipLostPlaces(writer: StateWriter): void {
  writer.transact((tx) => {
    const meta = tx.get(KEYS.meta());
    if (meta === undefined) return;
    const lost = { after: meta.seq, through: meta.seq + LIMITS.commandsLost };
    tx.put(KEYS.meta(), { ...meta, seq: lost.through });
    tx.put(KEYS.lostPlaces(), [...(tx.get(KEYS.lostPlaces()) ?? []), lost]);
  });
}

/** Whether a place in the log is one that a restore has undone. */
export function isLostPlace(view: Pick<StateView, "get">, seq: number): boolean {
  return view.get(KEYS.lostPlaces())?.some(({ after, through }) => seq > after && seq <= through) ?? false;
}
