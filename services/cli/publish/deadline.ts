import { GranaryError } from "../../../proto/errors.ts";
import { formatDuration } from "../output/format.ts";

/** The one time limit of a publish: it counts from the command's start, whatever the time goes into. */
export interface Deadline {
  readonly timeoutMs: number;
  /** When it began, as of `performance.now()`. */
  readonly startedMs: number;
  /** Aborts when the time is over, with TIMED_OUT as the reason, or on Ctrl-C: what must not outlast either takes this one. */
  readonly signal: AbortSignal;
  leftMs(): number;
}

/** What setTimeout can hold: 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

export function startDeadline(timeoutMs: number, interrupted: AbortSignal): Deadline {
  const startedMs = performance.now();
  const over = new AbortController();
  const late = `the time of ${formatDuration(timeoutMs)} was over before the farm answered`;
  setTimeout(() => over.abort(new GranaryError("TIMED_OUT", late)), Math.min(timeoutMs, LONGEST_MS)).unref();
  return {
    timeoutMs,
    startedMs,
    signal: AbortSignal.any([interrupted, over.signal]),
    leftMs: () => Math.max(0, startedMs + timeoutMs - performance.now()),
  };
}

/** What it means that the time was over before a publish was there that could go on. */
export function notAccepted({ timeoutMs }: Deadline): GranaryError {
  const after = formatDuration(timeoutMs);
  return new GranaryError("TIMED_OUT", `the farm had not accepted it after ${after}: nothing is published`, {
    hint: "Publish again with a longer --timeout; what the farm has got of a directory is not sent twice.",
  });
}
