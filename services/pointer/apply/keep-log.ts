import { LIMITS } from "../../../proto/limits.ts";
import type { SealedLog } from "../../../proto/publish-log.ts";
import type { PublishRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** The log of a publish that ends now is found, and keeps its content, until its time is over. */
export function keepLog(step: Step, publish: PublishRecord, log: SealedLog | undefined): void {
  if (log === undefined) return;
  const { org, project, publish_id } = publish;
  const key = KEYS.publishLog(publish_id);
  step.put(key, { org, project, publish_id, digest: log.digest, size: log.size });
  step.put(KEYS.rowExpiry(step.timeMs + LIMITS.logKeepMs, { seq: step.seq, k: 0 }), [key]);
}
