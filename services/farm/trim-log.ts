import type { Bus } from "../shared/bus.ts";
import type { Log } from "../shared/log.ts";
import type { Replica } from "../shared/replica.ts";

/**
 * Removes commands that no kept snapshot needs: those up to the oldest of `keep`, so that one damaged snapshot costs nothing. For
 * the one node of a farm with its own nats-server; the admin key is used for this step alone.
 * @returns what ends it
 */
export function trimLog(options: {
  replica: Pick<Replica, "onSnapshots">;
  keep: number;
  connect(): Promise<Bus>;
  log: Pick<Log, "info" | "warn">;
}): () => Promise<void> {
  const { replica, keep, connect, log } = options;
  let trimming = Promise.resolve();
  const trim = async (oldest: number): Promise<void> => {
    try {
      const bus = await connect();
      try {
        const { firstSeq } = await bus.logInfo();
        if (firstSeq > oldest) return;
        await bus.trimLog(oldest + 1);
        log.info({ firstSeq: oldest + 1 }, "the command log was trimmed below the oldest snapshot");
      } finally {
        await bus.close();
      }
    } catch (error) {
      log.warn({ err: error }, "the command log could not be trimmed; the next snapshot tries again");
    }
  };
  const off = replica.onSnapshots((seqs) => {
    const oldest = seqs.at(-1);
    if (oldest === undefined || seqs.length < keep) return;
    trimming = trimming.then(() => trim(oldest));
  });
  return async () => {
    off();
    await trimming;
  };
}
