import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

/**
 * Tokens: `gr_<kind>_<id>_<secret><crc>`. The crc (crc32 of everything before it, 8 hex characters) lets scanners and clients
 * tell a damaged token from a revoked one without asking; only {@link tokenHash} is ever stored.
 */
const PATTERN = /^gr_(adm|tok)_([0-9a-z]{10,32})_([0-9A-Za-z]{32})([0-9a-f]{8})$/;

export interface ParsedToken {
  readonly kind: "adm" | "tok";
  readonly id: string;
}

/** @param secret 32 characters of [0-9A-Za-z] from a secure random source */
export function formatToken(kind: ParsedToken["kind"], id: string, secret: string): string {
  const body = `gr_${kind}_${id}_${secret}`;
  const token = body + checksum(body);
  if (!PATTERN.test(token)) throw new RangeError("token parts are out of their alphabet");
  return token;
}

/** The parts of a well-formed token; undefined for anything else. Says nothing about whether it is valid. */
export function parseToken(text: string): ParsedToken | undefined {
  const match = PATTERN.exec(text);
  if (!match?.[1] || !match[2] || match[4] !== checksum(text.slice(0, -8))) return undefined;
  return { kind: match[1] as ParsedToken["kind"], id: match[2] };
}

export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, "0");
}
