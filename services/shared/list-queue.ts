import type { QueueJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import { LANES } from "../../proto/subjects.ts";
import type { StateView } from "./state-db-tx.ts";
import { RANGES } from "./state-keys.ts";
import { findPublish, listBacklogs } from "./state-queries.ts";

/**
 * What waits and what runs, by lane and org. Jobs are taken up about in the order of their acceptance: those that run are looked for
 * among an org's {@link LIMITS.pageItems} oldest, so that a long queue costs no more than a short one.
 */
export function listQueue(view: StateView, nowMs: number): QueueJson["lanes"] {
  return LANES.flatMap((lane) =>
    listBacklogs(view).map(({ org, publishes }) => {
      const oldest = [...view.range(RANGES.orgWork(lane, org), { limit: LIMITS.pageItems })];
      const records = oldest.flatMap(({ value }) => findPublish(view, value.publish_id) ?? []);
      const running = records.filter(({ state }) => state !== "queued").length;
      const first = oldest[0]?.value;
      return {
        lane,
        org,
        queued: publishes - running,
        running,
        oldest_publish: first?.publish_id ?? null,
        oldest_age_ms: first === undefined ? null : Math.max(0, nowMs - first.created_ms),
      };
    }),
  );
}
