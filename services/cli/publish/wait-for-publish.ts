import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../../proto/errors.ts";
import type { PublishJson } from "../../../proto/http.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import type { ApiClient } from "../http/api-client.ts";
import { isPassing, waitBefore } from "../http/with-retries.ts";

export interface WaitOptions {
  readonly publishId: string;
  /** Time after which waiting ends with TIMED_OUT; the publish goes on. */
  readonly timeoutMs: number;
  /** The command line that waits on. */
  readonly again: string;
  /** From when on it counts, as of `performance.now()`; from now when absent. */
  readonly sinceMs?: number;
  /** Longest first wait in seconds: short where people watch the states go by, long where requests count. */
  readonly firstWaitS?: number;
  readonly onState: (publish: PublishJson) => void;
  /** Called once per loss of the farm. */
  readonly onLost?: (failure: GranaryError) => void;
}

const FIRST_WAIT_S = 2;
export const LONG_WAIT_S = 25;
/** What an answer may take beyond the wait that was asked for. */
const SLACK_MS = 15_000;
/** The same for the last answer: a farm that is silent must not hold up who has waited for long enough. */
const LAST_SLACK_MS = 2_000;

/**
 * Long-polls a publish until it has ended; a farm that restarts meanwhile is waited for.
 * @throws GranaryError TIMED_OUT, or the farm's refusal
 */
export async function waitForPublish(api: ApiClient, options: WaitOptions): Promise<PublishJson> {
  const { publishId, timeoutMs, onState, firstWaitS = FIRST_WAIT_S } = options;
  const until = (options.sinceMs ?? performance.now()) + timeoutMs;
  let failures = 0;
  let state = "unknown";
  for (let round = 0; ; round++) {
    const leftS = Math.ceil((until - performance.now()) / 1000);
    if (leftS <= 0 && round > 0) throw timedOut(options, state);
    const waitS = Math.max(0, Math.min(leftS, round === 0 ? firstWaitS : LONG_WAIT_S));
    try {
      const path = `/v1/publishes/${encodeURIComponent(publishId)}`;
      const slackMs = waitS >= leftS ? LAST_SLACK_MS : SLACK_MS;
      const publish = await api.get<PublishJson>(path, { wait: waitS }, { idleMs: waitS * 1000 + slackMs });
      failures = 0;
      state = publish.state;
      onState(publish);
      if (TERMINAL_STATES.has(publish.state)) return publish;
    } catch (error) {
      api.signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      failures += 1;
      if (failures === 1) options.onLost?.(error);
      const waitMs = Math.min(waitBefore(error, failures), Math.max(0, until - performance.now()));
      await sleep(waitMs, undefined, { signal: api.signal });
    }
  }
}

function timedOut({ publishId, timeoutMs, again }: WaitOptions, state: string): GranaryError {
  const waited = `${Math.round(timeoutMs / 1000)} s`;
  return new GranaryError(
    "TIMED_OUT",
    `publish ${publishId} is ${state} after ${waited}; it goes on: ${again}`,
    { publish_id: publishId, state },
  );
}
