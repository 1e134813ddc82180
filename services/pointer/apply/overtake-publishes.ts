import type { ProjectRecord, PublishRecord } from "../../../proto/records.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import { endPublish } from "./end-publish.ts";
import type { Step } from "./step.ts";

/**
 * Ends every publish of the channel that was accepted before `by` and has not started. Only those count that were accepted
 * while the channel's publishes could be overtaken: an accepted publish keeps what it was promised.
 */
export function overtakePublishes(step: Step, by: Pick<PublishRecord, "channel" | "publish_id">): void {
  const rows = [...step.range(RANGES.channelWork(step.openProject(), by.channel))];
  for (const { value: publishId } of rows) {
    const publish = step.get(KEYS.publish(publishId));
    if (publish?.state === "queued" && publishId !== by.publish_id) overtake(step, publish, by.publish_id);
  }
}

/** Whether queued publishes of a channel give way to newer ones. */
export function isOvertakeable(project: ProjectRecord, channel: PublishRecord["channel"]): boolean {
  return project.settings.overtake ?? channel !== "production";
}

/** Ends one publish as overtaken. */
export function overtake(step: Step, publish: PublishRecord, by: string): void {
  const { publish_id } = publish;
  const message = `${publish_id} was overtaken by ${by}`;
  const error = { code: "OVERTAKEN", message, detail: { publish_id, overtaken_by: by } } as const;
  endPublish(step, publish, { state: "overtaken", overtaken_by: by, error });
  step.audit({ action: "overtake", resource: publish_id, reason: `overtaken by ${by}` });
  step.emit("publish.overtaken", publish_id, { publish_id, channel: publish.channel, overtaken_by: by });
}
