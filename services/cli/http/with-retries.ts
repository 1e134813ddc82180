import { setTimeout as sleep } from "node:timers/promises";
import { ERROR_CODES, type ErrorCode, GranaryError } from "../../../proto/errors.ts";

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Time after which the last failure is thrown. */
  readonly patienceMs: number;
  /** Whether "nobody listens" may be a farm that restarts; on a first contact it is not. */
  readonly retryNoFarm: boolean;
  readonly attempts?: number;
  /** Whether anything came of the attempts since it was last asked: then both count and waits begin anew. */
  readonly progressed?: () => boolean;
  readonly onRetry?: (failure: GranaryError, waitMs: number) => void;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;
/** What is worth asking again from here; STORE_FULL and the like are for people. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  "UNAVAILABLE",
  "NO_FARM",
  "RATE_LIMITED",
  "OUTCOME_UNKNOWN",
  "STORE_IO",
]);

/**
 * Repeats an idempotent action while it fails with something that passes, after Retry-After or a growing wait.
 * @throws the first failure that does not pass, or the last one
 */
export async function withRetries<T>(
  options: RetryOptions,
  action: (attempt: number) => Promise<T>,
): Promise<T> {
  const { signal, patienceMs, retryNoFarm, attempts = 20, progressed, onRetry } = options;
  const until = performance.now() + patienceMs;
  for (let attempt = 1, inVain = 1; ; attempt++, inVain++) {
    try {
      return await action(attempt);
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error) || (error.code === "NO_FARM" && !retryNoFarm && attempt === 1)) throw error;
      if (progressed?.() === true) inVain = 1;
      const waitMs = waitBefore(error, inVain);
      if (inVain >= attempts || performance.now() + waitMs > until) throw error;
      onRetry?.(error, waitMs);
      await sleep(waitMs, undefined, { signal });
    }
  }
}

export function isPassing(error: unknown): error is GranaryError {
  return error instanceof GranaryError && PASSING.has(error.code) && ERROR_CODES[error.code].retryable;
}

/** Milliseconds until the next attempt: what the farm asked for, else doubling. */
export function waitBefore(error: GranaryError, attempt: number): number {
  const asked = error.detail["retry_after_s"];
  const doubling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt - 1, 10));
  return typeof asked === "number" ? Math.min(60_000, Math.max(asked * 1000, FIRST_WAIT_MS)) : doubling;
}
