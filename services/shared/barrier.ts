import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { LogInfo } from "./bus.ts";
import type { Replica } from "./replica.ts";

/** Answers when everything that was acknowledged before the call, anywhere, is applied here. */
export type Barrier = () => Promise<void>;

/**
 * A barrier that appends nothing: it asks the log where it ends and waits until the replica is there. Calls that come while one
 * asks share the next question, because the answer under way may be older than they are: however many there are, one question is
 * on its way at a time.
 * @throws GranaryError UNAVAILABLE when the log does not answer, REPLICA_BEHIND when the replica does not get there
 */
export function createBarrier(target: {
  bus: { logInfo(): Promise<Pick<LogInfo, "lastSeq">> };
  replica: Pick<Replica, "waitForSeq">;
}): Barrier {
  let asking: Promise<number> | undefined;
  let next: Promise<number> | undefined;

  const head = async (): Promise<number> => {
    try {
      return (await target.bus.logInfo()).lastSeq;
    } catch (cause) {
      throw new GranaryError("UNAVAILABLE", "the command log does not answer", {}, { cause });
    }
  };
  const ask = (): Promise<number> => {
    if (asking === undefined) {
      asking = head().finally(() => {
        asking = undefined;
      });
      return asking;
    }
    next ??= asking
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return ask();
      });
    return next;
  };
  return async () => waitForApplied(target.replica, await ask());
}

/** @throws GranaryError REPLICA_BEHIND when `seq` is not applied here in time */
export async function waitForApplied(replica: Pick<Replica, "waitForSeq">, seq: number): Promise<void> {
  if (await replica.waitForSeq(seq, LIMITS.behindMs)) return;
  throw new GranaryError("REPLICA_BEHIND", `position ${seq} of the command log is not applied here yet`, {
    min_seq: seq,
  });
}
