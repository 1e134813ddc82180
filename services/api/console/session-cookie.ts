import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/**
 * What a browser keeps between pages: the token, sealed with a key that this process makes at its start. Cookies know no ports, so
 * another server on the same host gets to see the cookie; what it sees opens these pages and nothing else, and no longer than the
 * process lives or {@link SESSION_MS}.
 */
export interface SessionCookies {
  /** Value of Set-Cookie that signs in. */
  seal(token: string, options: { nowMs: number; secure: boolean }): string;
  /** The token in a Cookie header; undefined: none, not ours, or too old. */
  open(header: string | undefined, nowMs: number): string | undefined;
}

/** A working day: who has a page open for longer signs in again. */
const SESSION_MS = 12 * 3_600_000;
const NAME = "granary_session";
const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Value of Set-Cookie that signs out. */
export const EXPIRED_COOKIE = `${NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`;

export function createSessionCookies(): SessionCookies {
  const key = randomBytes(32);
  return {
    seal(token, { nowMs, secure }) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce);
      const body = Buffer.concat([cipher.update(`${nowMs} ${token}`, "utf8"), cipher.final()]);
      const sealed = Buffer.concat([nonce, body, cipher.getAuthTag()]).toString("base64url");
      return `${NAME}=${sealed}; Path=/; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;
    },
    open(header, nowMs) {
      const sealed = new RegExp(`(?:^|; *)${NAME}=([A-Za-z0-9_-]{40,2000})(?:;|$)`).exec(header ?? "")?.[1];
      const [sealedAt, token] = sealed === undefined ? [] : unseal(key, sealed).split(" ");
      return Number(sealedAt) + SESSION_MS > nowMs ? token : undefined;
    },
  };
}

function unseal(key: Buffer, sealed: string): string {
  const bytes = Buffer.from(sealed, "base64url");
  try {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    // Sealed by an earlier process, or by nobody.
    return "";
  }
}
