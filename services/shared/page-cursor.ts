import { digestHex, digestOf } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";

/** The place behind a row of a list, as clients see it: the end of the row's key, and a check that it is one of this list. */
export function formatPageCursor(list: string, rest: string): string {
  return `${rest}.${checkOf(list, rest)}`;
}

/** The end of the key. @throws GranaryError USAGE when it is no cursor, or one of another list */
export function parsePageCursor(list: string, cursor: string): string {
  const [, rest, check] = /^([a-z0-9/_-]{1,300})\.([0-9a-f]{8})$/i.exec(cursor) ?? [];
  if (rest !== undefined && check === checkOf(list, rest)) return rest;
  throw new GranaryError("USAGE", `not a cursor of this list: ${JSON.stringify(cursor.slice(0, 40))}`, {
    pointer: "?cursor",
  });
}

function checkOf(list: string, rest: string): string {
  return digestHex(digestOf(`${list}\n${rest}`)).slice(0, 8);
}
