import { GranaryError } from "../proto/errors.ts";

/** What `read` answers, or undefined when it finds STORE_CORRUPT: for checks, which go on behind what is damaged. */
export function ifIntact<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof GranaryError && error.code === "STORE_CORRUPT") return undefined;
    throw error;
  }
}
