import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import type { Bus, LogEntry } from "../shared/bus.ts";
import { digestInSlices } from "../shared/digest-in-slices.ts";
import type { StateWriter } from "../shared/state-db.ts";

export interface DigestChecks {
  /** The state is that of `seq` now: called after each commit, before the next. */
  applied(seq: number): void;
  /** Ends what is under way. */
  close(): Promise<void>;
}

const RETRY_MS = 1_000;

/**
 * Compares this replica's state with the others' at every multiple of `every`. The digest is computed from all rows as they are
 * on disk, so a row that changed under the state machine is noticed too; the first replica to say a digest for a position
 * fixes it, also for those that replay the log later. While one is computed, positions that pass are left out.
 */
export function digestChecks(options: {
  writer: Pick<StateWriter, "pin">;
  bus: Pick<Bus, "claimDigest">;
  epoch: string;
  every: number;
  onDigest(at: { seq: number; digest: string }): void;
  /** The states differ, or a row is damaged. */
  onFail(error: GranaryError): void;
}): DigestChecks {
  const { writer, bus, epoch, every } = options;
  const abort = new AbortController();
  const { signal } = abort;
  let running: Promise<void> | undefined;

  const check = async (seq: number, pinned: ReturnType<StateWriter["pin"]>): Promise<void> => {
    try {
      const digest = await digestInSlices(pinned.rows(), signal);
      if (digest === undefined) return;
      const said = await claim({ epoch, seq, digest });
      if (said === undefined) return;
      if (said === digest) options.onDigest({ seq, digest });
      else {
        const detail = { seq, digest, expected: said };
        throw new GranaryError(
          "STATE_DIVERGED",
          `after command ${seq} another replica has another state`,
          detail,
        );
      }
    } catch (error) {
      if (error instanceof GranaryError) options.onFail(error);
      else throw error;
    } finally {
      pinned.release();
      running = undefined;
    }
  };

  const claim = async (mine: { epoch: string; seq: number; digest: string }): Promise<string | undefined> => {
    while (!signal.aborted) {
      try {
        return await bus.claimDigest(mine);
      } catch {
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return undefined;
  };

  return {
    applied(seq) {
      if (seq % every !== 0 || running !== undefined || signal.aborted) return;
      running = check(seq, writer.pin());
    },
    async close() {
      abort.abort();
      await running;
    },
  };
}

/** A batch, cut behind every multiple of `every`: there a transaction has to end. */
export function cutAtMultiples(batch: readonly LogEntry[], every: number): LogEntry[][] {
  const groups: LogEntry[][] = [[]];
  for (const entry of batch) {
    groups.at(-1)?.push(entry);
    if (entry.seq % every === 0) groups.push([]);
  }
  return groups.filter((group) => group.length > 0);
}
