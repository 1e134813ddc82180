import { GranaryError } from "../proto/errors.ts";
import { errnoOf, FULL_ERRNOS } from "./fs.ts";

/** Any failure of the store as one of the catalogue; what has no code yet is an I/O error. */
export function asGranaryError(error: unknown): GranaryError {
  if (error instanceof GranaryError) return error;
  if (error instanceof RangeError || error instanceof TypeError) {
    return new GranaryError("INTERNAL", `store: ${error.message}`, {}, { cause: error });
  }
  const code = FULL_ERRNOS.has(errnoOf(error)) ? "STORE_FULL" : "STORE_IO";
  return new GranaryError(code, `store: ${String(error)}`, {}, { cause: error });
}
