import { randomBytes } from "node:crypto";
import { formatToken, tokenHash } from "../../proto/token.ts";

/** A new token: its text goes to whoever asked for it, its hash into the state. */
export function mintToken(random: Random = randomBytes): {
  readonly id: string;
  readonly token: string;
  readonly hash: string;
} {
  const id = randomText(random, 16, ALPHABET.slice(0, 36));
  const token = formatToken("tok", id, randomText(random, 32, ALPHABET));
  return { id, token, hash: tokenHash(token) };
}

type Random = (bytes: number) => Uint8Array;

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Uniform over `alphabet`: bytes past the largest multiple of its length are drawn again. */
function randomText(random: Random, length: number, alphabet: string): string {
  const bound = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of random(length))
      if (byte < bound && text.length < length) text += alphabet[byte % alphabet.length];
  }
  return text;
}
