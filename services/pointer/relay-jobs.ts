import { behindCommand, type Cursor } from "../../proto/events.ts";
import type { Lane, PublishJob } from "../../proto/subjects.ts";
import type { JobQueue } from "../shared/bus-jobs.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES, type WorkRow } from "../shared/state-keys.ts";
import { LANE } from "./lane.ts";
import type { LocalCursors, Relayed } from "./local-cursors.ts";
import type { RelayLoop, RelaySource } from "./relay-events.ts";

/**
 * Relays accepted publishes to the job queue. The publish id is the message id, so that repeating is harmless: a copy without a
 * cursor puts all unfinished work in again, and so does one whose queue has lost jobs, or may have.
 */
export function jobRelay(options: {
  source: RelaySource;
  queue: JobQueue;
  cursors: LocalCursors;
}): RelayLoop {
  const { source, queue, cursors } = options;
  let links = 0;
  let checkedLinks: number | undefined;
  /** Whether the queue lost jobs while nobody looked. What was on its way when a link broke may have arrived since and hide it. */
  const hasLost = async (relayed: Relayed): Promise<boolean> =>
    checkedLinks !== undefined || links > 0 || (await queue.lastSeq()) < relayed.streamSeq;
  const step = async (): Promise<boolean> => {
    const link = links;
    const relayed = cursors.get("jobs-cursor");
    if (relayed === undefined || (checkedLinks !== link && (await hasLost(relayed)))) {
      const { work, seq } = source.read(unfinished);
      const streamSeq = await publishJobs(queue, LANE, work);
      cursors.set("jobs-cursor", { cursor: behindCommand(seq), streamSeq });
      checkedLinks = link;
      return true;
    }
    checkedLinks = link;
    const { work, last } = source.read((view) => acceptedBehind(view, relayed.cursor));
    if (last === undefined) return false;
    const streamSeq = Math.max(relayed.streamSeq, await publishJobs(queue, LANE, work));
    cursors.set("jobs-cursor", { cursor: last, streamSeq });
    return true;
  };
  const reconnected = (): void => {
    links += 1;
  };
  return { step, reconnected };
}

/** Keeps the connection busy without flooding it; 64 in flight are within a tenth of the best rate. */
const IN_FLIGHT = 64;
const EVENTS_PER_STEP = 256;

/** @returns the highest place in the queue that one of them has; 0 when none was put in */
export async function publishJobs(
  queue: Pick<JobQueue, "publish">,
  lane: Lane,
  work: readonly WorkRow[],
): Promise<number> {
  let highest = 0;
  for (let at = 0; at < work.length; at += IN_FLIGHT) {
    const some = work.slice(at, at + IN_FLIGHT);
    const places = await Promise.all(some.map((row) => queue.publish(lane, jobOf(row))));
    // What the org's quota does not take now stays in the state: see republish-lost-jobs.ts.
    for (const place of places) if (place !== "full") highest = Math.max(highest, place.seq);
  }
  return highest;
}

function jobOf({ publish_id, org, project, order, turn }: WorkRow): PublishJob {
  return { v: 1, publish_id, org, project, order, ...(turn !== undefined && { turn }) };
}

function unfinished(view: StateView): { work: WorkRow[]; seq: number } {
  const work = [...view.range(RANGES.work(LANE))].map((row) => row.value);
  return { work, seq: view.get(KEYS.meta())?.seq ?? 0 };
}

/**
 * Accepted publishes that have not ended meanwhile, those among them that were given their turn later, and the place up to which that was
 * looked at.
 */
function acceptedBehind(view: StateView, cursor: Cursor): { work: WorkRow[]; last: Cursor | undefined } {
  const events = [...view.range(RANGES.events(), { after: KEYS.event(cursor), limit: EVENTS_PER_STEP })];
  const isAll = events.length < EVENTS_PER_STEP;
  const newest = events.at(-1)?.value;
  const lastSeq = isAll || newest === undefined ? (view.get(KEYS.meta())?.seq ?? 0) : newest.seq;
  const turns = [...view.range(RANGES.turnsGiven(cursor.seq, lastSeq))];
  if (newest === undefined && turns.length === 0) return { work: [], last: undefined };
  const places = [
    ...events.flatMap(({ value: { type, org, seq } }) =>
      type === "publish.accepted" ? { org, order: seq } : [],
    ),
    ...turns.map(({ value }) => value),
  ];
  const work = places.flatMap(({ org, order }) => view.get(KEYS.work(LANE, org, order)) ?? []);
  const last = isAll || newest === undefined ? behindCommand(lastSeq) : { seq: newest.seq, k: newest.k };
  return { work, last };
}
