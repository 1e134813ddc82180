import type { LogSeed } from "./bus-streams.ts";
import { skipLostPlaces } from "./lost-places.ts";
import type { StateReader, StateWriter } from "./state-db.ts";
import { KEYS } from "./state-keys.ts";

/** Local rows of a copy of the state: which log it follows, and which one it is meant to begin. */
export const LOCAL_EPOCH = "epoch";
const RESEED = "reseed";
const CURSORS = ["jobs-cursor", "events-cursor"];

/**
 * Says durably that this state goes on with a new log, which the next start makes: its first command is the one behind the last
 * applied and all that may be lost. Until that log is there, no other one is accepted.
 */
export function markReseed(writer: StateWriter, epoch: string): LogSeed {
  return writer.transact((tx, local) => {
    local.put(RESEED, epoch);
    // Whatever the queues and the event stream lost with the log is put in again; what they still have is known by its id.
    for (const cursor of CURSORS) local.remove(cursor);
    skipLostPlaces(tx);
    return { epoch, firstSeq: (tx.get(KEYS.meta())?.seq ?? 0) + 1 };
  });
}

export function readReseed(state: Pick<StateReader, "read" | "readLocal">): LogSeed | undefined {
  const epoch = state.readLocal(RESEED);
  if (epoch === undefined) return undefined;
  return { epoch, firstSeq: state.read((view) => (view.get(KEYS.meta())?.seq ?? 0) + 1) };
}

/** The new log is there: it is this state's. */
export function adoptReseed(writer: StateWriter, epoch: string): void {
  writer.transact((_, local) => {
    local.put(LOCAL_EPOCH, epoch);
    local.remove(RESEED);
  });
}
