import type { PublishRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { endWork } from "./project-turns.ts";
import type { Step } from "./step.ts";

/** Writes the one terminal state of a publish and takes it off the org's work. */
export function endPublish(
  step: Step,
  publish: PublishRecord,
  end: Pick<PublishRecord, "state"> &
    Partial<Pick<PublishRecord, "version" | "image_digest" | "existing" | "overtaken_by" | "error" | "node">>,
): void {
  step.put(KEYS.publish(publish.publish_id), { ...publish, ...end, ended_at: step.at });
  endWork(step, publish);
  step.remove(KEYS.channelWork(publish, publish.channel, publish.order));
  step.put(KEYS.backlog(publish.org), (step.get(KEYS.backlog(publish.org)) ?? 1) - 1);
}
