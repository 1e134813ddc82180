import { GranaryError } from "../../proto/errors.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where the text of a NUL-padded field ends: at its first NUL, or with the field. */
export function fieldEnd(bytes: Uint8Array, at: number, length: number): number {
  const end = at + length;
  for (let i = at; i < end; i++) if (bytes[i] === 0) return i;
  return end;
}

/**
 * Decodes a name. Two different byte strings never become one name: what is not UTF-8 is refused.
 * @throws GranaryError ARCHIVE_NAME_ENCODING
 */
export function decodeName(bytes: Buffer, start: number, end: number, what: string): string {
  try {
    return UTF8.decode(bytes.subarray(start, end));
  } catch (cause) {
    const shown = bytes.toString("utf8", start, Math.min(end, start + 200));
    throw new GranaryError(
      "ARCHIVE_NAME_ENCODING",
      `the ${what} ${JSON.stringify(shown)} is not valid UTF-8`,
      { path: shown },
      { cause },
    );
  }
}
