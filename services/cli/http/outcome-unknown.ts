import { GranaryError } from "../../../proto/errors.ts";
import { isProblem } from "../../shared/read-problem.ts";

/** Whether a request that failed may have had its effect: it went out, and what came of it did not come back. */
export function mayHaveHappened(error: unknown): boolean {
  if (!(error instanceof GranaryError)) return error instanceof Error && error.name === "AbortError";
  return error.code === "OUTCOME_UNKNOWN" || (error.code === "UNAVAILABLE" && !isProblem(error.cause));
}

/** All that can be said then, with the key under which asking again has no second effect. */
export function outcomeUnknown(cause: unknown, key: string): GranaryError {
  const why = cause instanceof GranaryError ? cause.message : "interrupted before the farm answered";
  const detail = cause instanceof GranaryError ? cause.detail : {};
  return new GranaryError(
    "OUTCOME_UNKNOWN",
    `whether it took effect is not known: ${why}`,
    { ...detail, idempotency_key: key },
    { cause },
  );
}
