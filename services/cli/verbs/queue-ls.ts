import { EXIT } from "../../../proto/errors.ts";
import type { VerbHandler } from "../verb-context.ts";

interface QueueJson {
  readonly lanes: readonly {
    readonly lane: string;
    readonly org: string;
    /** Accepted and not ended, where the farm does not tell waiting from running. */
    readonly publishes?: number;
    readonly queued?: number;
    readonly running?: number;
  }[];
}

/** Shows what waits and what runs. */
export const queueLs: VerbHandler<"queue ls"> = async ({ output, api }) => {
  const { lanes } = await api().get<QueueJson>("/v1/queue");
  output.emit(lanes, () =>
    output.table(
      ["LANE", "ORG", "QUEUED", "RUNNING"],
      lanes.map((row) => [row.lane, row.org, row.queued ?? row.publishes, row.running]),
      "the queue is empty",
    ),
  );
  return EXIT.ok;
};
