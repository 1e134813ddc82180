import { digestHex, digestOf } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { HttpRequest } from "../shared/http-server.ts";
import { query } from "./request.ts";

/**
 * A place in the listing of something that never changes, such as a tree or two: the last path that was answered, and what it is a
 * listing of, because `current` may be another release by the time of the next page.
 */
export function formatListingCursor(of: string, path: Uint8Array): string {
  return `${fingerprint(of)}.${Buffer.from(path).toString("base64url")}`;
}

/** The path of `?cursor=`. @throws GranaryError USAGE when it is no cursor, or one of another listing */
export function listingCursor(request: HttpRequest, of: string): Buffer | undefined {
  const cursor = query(request, "cursor");
  if (cursor === undefined) return undefined;
  const [, print, path] = /^([0-9a-f]{16})\.([A-Za-z0-9_-]{1,1400})$/.exec(cursor) ?? [];
  if (print === undefined || path === undefined)
    throw new GranaryError("USAGE", `not a cursor: ${JSON.stringify(cursor.slice(0, 40))}`, {
      pointer: "?cursor",
    });
  if (print === fingerprint(of)) return Buffer.from(path, "base64url");
  throw new GranaryError("USAGE", "the cursor is of another listing than is asked for now: begin again", {
    pointer: "?cursor",
  });
}

function fingerprint(of: string): string {
  return digestHex(digestOf(of)).slice(0, 16);
}
