import type { JobQueue } from "../shared/bus-jobs.ts";
import { RANGES, type WorkRow } from "../shared/state-keys.ts";
import { LANE } from "./lane.ts";
import type { RelaySource } from "./relay-events.ts";
import { publishJobs } from "./relay-jobs.ts";

/**
 * Safety net: work of an org whose queue is empty although publishes have been waiting for a while is put in again (the queue
 * was full, or lost). An org that still has jobs is left alone: which of its jobs are missing cannot be told, and its queue
 * runs empty by itself.
 * @returns how many jobs were put in
 */
export async function republishLostJobs(options: {
  source: RelaySource;
  queue: JobQueue;
  nowMs: number;
}): Promise<number> {
  const { source, queue, nowMs } = options;
  const queued = new Set(
    (await queue.backlog()).filter((row) => row.lane === LANE && row.jobs > 0).map((row) => row.org),
  );
  const lost = source.read((view) => {
    const rows: WorkRow[] = [];
    for (const { value } of view.range(RANGES.work(LANE))) {
      if (!queued.has(value.org) && nowMs - value.created_ms > WAITING_MS) rows.push(value);
    }
    return rows;
  });
  await publishJobs(queue, LANE, lost);
  return lost.length;
}

export const SAFETY_NET_MS = 30_000;
const WAITING_MS = 60_000;
