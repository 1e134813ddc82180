import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetail,
  GranaryError,
  isErrorCode,
} from "../../proto/errors.ts";
import type { Problem } from "../../proto/http.ts";

/** Whether a value is a problem document of a farm (RFC 9457); kept as the `cause` of the error that it becomes. */
export function isProblem(value: unknown): value is Problem {
  return (
    typeof value === "object" &&
    value !== null &&
    "code" in value &&
    "detail" in value &&
    "status" in value &&
    "hint" in value
  );
}

/** An answer that is not a success, as the error it means. Retry-After becomes `retry_after_s` of the detail. */
export function toFailure(answer: {
  status: number;
  body: unknown;
  retryAfter: string | undefined;
  url: string;
}): GranaryError {
  const { status, body, retryAfter, url } = answer;
  const seconds = Number(retryAfter);
  const wait =
    retryAfter !== undefined && Number.isFinite(seconds) ? { retry_after_s: Math.max(0, seconds) } : {};
  if (!isProblem(body)) {
    const text = typeof body === "string" ? body.trim().slice(0, 200) : problemsOf(body).join(", ");
    return new GranaryError(
      codeOfStatus(status),
      `${url} answered ${status}${text === "" ? "" : `: ${text}`}`,
      { status, ...wait, ...(status < 500 && status !== 429 ? { hint: NOT_A_FARM } : {}) },
    );
  }
  const known = isErrorCode(body.code) ? body.code : undefined;
  const own = known !== undefined && body.hint !== ERROR_CODES[known].hint ? { hint: body.hint } : {};
  const detail: ErrorDetail = { ...body.params, ...wait, ...own };
  if (known !== undefined) return new GranaryError(known, body.detail, detail, { cause: body });
  // A newer farm may have codes that this catalogue lacks.
  return new GranaryError(codeOfStatus(status), `${String(body.code)}: ${body.detail}`, detail, {
    cause: body,
  });
}

/** A farm refuses with a problem document: that of something else says nothing about names and tokens. */
const NOT_A_FARM = "Check the URL: what answers there does not answer as a farm does.";

/** What `/readyz` finds wrong. */
function problemsOf(body: unknown): readonly string[] {
  if (typeof body !== "object" || body === null || !("problems" in body) || !Array.isArray(body.problems))
    return [];
  return body.problems.map(String);
}

function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "FORBIDDEN";
    case 404:
      return "NOT_FOUND";
    case 409:
    case 412:
      return "STATE_CONFLICT";
    case 413:
      return "BODY_TOO_LARGE";
    case 429:
      return "RATE_LIMITED";
    case 502:
    case 503:
    case 504:
      return "UNAVAILABLE";
    default:
      return status < 500 ? "USAGE" : "INTERNAL";
  }
}
