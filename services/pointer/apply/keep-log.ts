import type { CommandValue, LogCommand } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { SealedLog } from "../../../proto/publish-log.ts";
import { type PublishRecord, TERMINAL_STATES } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import { findPublish } from "./find-publish.ts";
import type { Step } from "./step.ts";

/** `log`: keeps what a publish that ended while it ran had written until then. A log that is there already stays. */
export function keepEndedLog(step: Step, body: LogCommand): CommandValue {
  const publish = findPublish(step, body.publish_id);
  const isLast = TERMINAL_STATES.has(publish.state) && body.attempt === publish.attempt;
  const changed = isLast && step.get(KEYS.publishLog(publish.publish_id)) === undefined;
  if (changed) keepLog(step, publish, body.log);
  return { type: "done", changed };
}

/** The log of a publish that ends now is found, and keeps its content, until its time is over. */
export function keepLog(step: Step, publish: PublishRecord, log: SealedLog | undefined): void {
  if (log === undefined) return;
  const { org, project, publish_id } = publish;
  const key = KEYS.publishLog(publish_id);
  step.put(key, { org, project, publish_id, digest: log.digest, size: log.size });
  step.put(KEYS.rowExpiry(step.timeMs + LIMITS.logKeepMs, { seq: step.seq, k: 0 }), [key]);
}
