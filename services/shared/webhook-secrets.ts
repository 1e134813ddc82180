import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { natsPaths } from "./nats-paths.ts";

/**
 * Signing secrets of webhooks. The api hands one out once and seals it (AES-256-GCM) before it enters a command: log, state,
 * replicas and their backups hold only that. Whoever delivers opens it with the same key, `webhooks.key` (0600) beside the keys of
 * the roles, which an operator copies to each machine anyway. The same key answers for secrets that a repeated request must be
 * given once more.
 */
export interface SecretBox {
  /** @param of bound into the sealing: a sealed secret is of no use in another webhook */
  seal(secret: string, of: { org: string; id: string }): string;
  /** @throws when it was sealed with another key or for another webhook */
  open(sealed: string, of: { org: string; id: string }): string;
  /** An endless source of bytes that nobody without the key can tell, and that is the same for the same `of`. */
  derive(of: string): (bytes: number) => Uint8Array;
}

/** A fresh secret, in the form that Standard Webhooks libraries take. */
export function newWebhookSecret(random: (bytes: number) => Uint8Array = randomBytes): string {
  return `whsec_${Buffer.from(random(32)).toString("base64")}`;
}

/** The box of a data folder; its key is made on first use. */
export function secretBox(dataDir: string): SecretBox {
  const key = readOrCreateKey(path.join(natsPaths(dataDir).keys, "webhooks.key"));
  const derivation = Buffer.from(hkdfSync("sha256", key, "", "granary derived secrets", KEY_BYTES));
  return {
    seal(secret, of) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, key, nonce).setAAD(aad(of));
      const sealed = Buffer.concat([
        nonce,
        cipher.update(secret, "utf8"),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return sealed.toString("base64");
    },
    open(sealed, of) {
      const bytes = Buffer.from(sealed, "base64");
      const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(aad(of)).setAuthTag(bytes.subarray(-TAG_BYTES));
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString("utf8");
    },
    derive(of) {
      let blocks = 0;
      let left = Buffer.alloc(0);
      return (bytes) => {
        while (left.length < bytes) {
          const block = createHmac("sha256", derivation).update(`${blocks++} ${of}`).digest();
          left = Buffer.concat([left, block]);
        }
        const taken = left.subarray(0, bytes);
        left = left.subarray(bytes);
        return taken;
      };
    },
  };
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

function aad(of: { org: string; id: string }): Buffer {
  return Buffer.from(`granary webhook ${of.org}/${of.id}`);
}

/** One data folder belongs to one process, yet a key that is overwritten would be lost: the first one stays. */
function readOrCreateKey(file: string): Buffer {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, randomBytes(KEY_BYTES).toString("hex"), { mode: 0o600, flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft);
  }
  const key = Buffer.from(readFileSync(file, "utf8").trim(), "hex");
  if (key.length !== KEY_BYTES) throw new Error(`${file} holds no key of ${KEY_BYTES} bytes`);
  return key;
}
