import { GranaryError } from "../../proto/errors.ts";
import { type Cursor, formatCursor } from "../../proto/events.ts";
import { KEYS } from "../shared/state-keys.ts";
import type { ApiContext } from "./context.ts";

/**
 * Refuses a place beyond all that has happened, where somebody's cursor is to be put: what follows would be missed, for good.
 * @throws GranaryError USAGE
 */
export async function refuseFuture(context: ApiContext, cursor: Cursor, pointer: string): Promise<void> {
  const isAhead = () => cursor.seq > (context.read((view) => view.get(KEYS.meta()))?.seq ?? 0);
  if (!isAhead()) return;
  // Another api's copy may be ahead of this one.
  await context.barrier();
  if (isAhead())
    throw new GranaryError("USAGE", `${pointer}: nothing has happened at ${formatCursor(cursor)} yet`, {
      pointer,
    });
}
