import type { Cursor } from "../../proto/events.ts";
import type { Lane, PublishJob } from "../../proto/subjects.ts";
import type { JobQueue } from "../shared/bus-jobs.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES, type WorkRow } from "../shared/state-keys.ts";
import { LANE } from "./lane.ts";
import type { LocalCursors } from "./local-cursors.ts";
import type { RelaySource } from "./relay-events.ts";

/**
 * Relays accepted publishes to the job queue. The publish id is the message id, so that repeating is harmless; a copy without
 * a cursor puts all unfinished work in again.
 * @returns a step: relays one batch and answers whether there may be more. @throws when the bus does not answer: call it again
 */
export function jobRelay(options: {
  source: RelaySource;
  queue: JobQueue;
  cursors: LocalCursors;
}): () => Promise<boolean> {
  const { source, queue, cursors } = options;
  return async () => {
    const cursor = cursors.get("jobs-cursor");
    if (cursor === undefined) {
      const { work, seq } = source.read(unfinished);
      await publishJobs(queue, LANE, work);
      cursors.set("jobs-cursor", { seq, k: EVENTS_OF_COMMAND_MAX });
      return true;
    }
    const { work, last } = source.read((view) => acceptedBehind(view, cursor));
    if (last === undefined) return false;
    await publishJobs(queue, LANE, work);
    cursors.set("jobs-cursor", last);
    return true;
  };
}

/** Keeps the connection busy without flooding it; 64 in flight are within a tenth of the best rate. */
const IN_FLIGHT = 64;
const EVENTS_PER_STEP = 256;
const EVENTS_OF_COMMAND_MAX = 9_999;

export async function publishJobs(queue: JobQueue, lane: Lane, work: readonly WorkRow[]): Promise<void> {
  for (let at = 0; at < work.length; at += IN_FLIGHT) {
    // What the org's quota does not take now stays in the state: see republish-lost-jobs.ts.
    await Promise.all(work.slice(at, at + IN_FLIGHT).map((row) => queue.publish(lane, jobOf(row))));
  }
}

function jobOf({ publish_id, org, project, order }: WorkRow): PublishJob {
  return { v: 1, publish_id, org, project, order };
}

function unfinished(view: StateView): { work: WorkRow[]; seq: number } {
  const work = [...view.range(RANGES.work(LANE))].map((row) => row.value);
  return { work, seq: view.get(KEYS.meta())?.seq ?? 0 };
}

/** Accepted publishes that have not ended meanwhile, and the place up to which that was looked at. */
function acceptedBehind(view: StateView, cursor: Cursor): { work: WorkRow[]; last: Cursor | undefined } {
  const work: WorkRow[] = [];
  let last: Cursor | undefined;
  for (const { value: event } of view.range(RANGES.events(), {
    after: KEYS.event(cursor),
    limit: EVENTS_PER_STEP,
  })) {
    last = { seq: event.seq, k: event.k };
    const row =
      event.type === "publish.accepted" ? view.get(KEYS.work(LANE, event.org, event.seq)) : undefined;
    if (row !== undefined) work.push(row);
  }
  return { work, last };
}
