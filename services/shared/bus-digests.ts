import { JetStreamApiError, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream";
import { digestSubject, STREAMS } from "../../proto/subjects.ts";
import { STATE_VERSION } from "./state-keys.ts";

/** A replica's word for what the state is after a command. */
export interface DigestClaim {
  readonly epoch: string;
  readonly seq: number;
  /** Hex. */
  readonly digest: string;
}

const TIMEOUT_MS = 2_000;
/** "maximum messages per subject exceeded" */
const SUBJECT_FULL = 10_077;

/**
 * Says a digest, unless one was said for this position before. @returns the one that stands @throws when the bus does not answer:
 * say it again
 */
export async function claimDigest(
  bus: { js: JetStreamClient; manager: JetStreamManager },
  claim: DigestClaim,
): Promise<string> {
  const subject = digestSubject({ ...claim, stateVersion: STATE_VERSION });
  try {
    await bus.js.publish(subject, claim.digest, { timeout: TIMEOUT_MS });
    return claim.digest;
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === SUBJECT_FULL)) throw error;
  }
  const said = await bus.manager.streams.getMessage(STREAMS.digests, { last_by_subj: subject });
  if (said === null) throw new Error(`${subject} is full and empty`);
  return said.string();
}
