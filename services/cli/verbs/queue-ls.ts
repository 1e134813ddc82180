import { EXIT } from "../../../proto/errors.ts";
import type { QueueJson } from "../../../proto/http.ts";
import { formatDuration } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what waits and what runs. */
export const queueLs: VerbHandler<"queue ls"> = async ({ output, api }) => {
  const { lanes } = await api().get<QueueJson>("/v1/queue");
  output.emit(lanes, () =>
    output.table(
      ["LANE", "ORG", "QUEUED", "RUNNING", "OLDEST", "SINCE"],
      lanes.map((row) => [
        row.lane,
        row.org,
        row.queued,
        row.running,
        row.oldest_publish ?? undefined,
        row.oldest_age_ms === null ? undefined : formatDuration(row.oldest_age_ms),
      ]),
      "the queue is empty",
    ),
  );
  return EXIT.ok;
};
