import { crc32 } from "node:zlib";
import { GranaryError } from "../../proto/errors.ts";

/** LMDB does not notice bit flips: each value begins with the crc32 of its key and text, 8 hex digits. */
export function sealRow(key: string, json: string): string {
  return checksum(key, json) + json;
}

/** @throws GranaryError STORE_CORRUPT */
export function openRow(key: string, text: string): string {
  const json = text.slice(CHECKSUM_LENGTH);
  if (text.slice(0, CHECKSUM_LENGTH) === checksum(key, json)) return json;
  throw new GranaryError("STORE_CORRUPT", `row ${key} of the state does not match its checksum`, { key });
}

const CHECKSUM_LENGTH = 8;

function checksum(key: string, json: string): string {
  return crc32(json, crc32(key)).toString(16).padStart(CHECKSUM_LENGTH, "0");
}
