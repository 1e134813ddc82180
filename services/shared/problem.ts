import type { GranaryError } from "../../proto/errors.ts";
import type { Problem } from "../../proto/http.ts";

/** A failure as the RFC 9457 document that clients get. */
export function toProblem(error: GranaryError, requestId: string): Problem {
  const { pointer, http_status: status, hint: _, ...params } = error.detail;
  return {
    type: `urn:granary:error:${error.code}`,
    title: error.spec.title,
    // One code, several statuses: a failed If-Match is 412, the same condition in the body 409.
    status: typeof status === "number" ? status : error.spec.http,
    detail: error.message,
    code: error.code,
    hint: error.hint,
    retryable: error.spec.retryable,
    request_id: requestId,
    params,
    errors: typeof pointer === "string" ? [{ pointer, message: error.message }] : [],
  };
}
