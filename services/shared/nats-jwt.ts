import { randomUUID } from "node:crypto";
import type { NatsKey } from "./nats-key.ts";

/**
 * Signs a JWT of NATS with the key of an account (https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt,
 * ADR-26 for auth callout).
 * @param claims `sub`, `aud`, `name`, `exp` and `nats`
 */
export function signClaims(issuer: NatsKey, claims: Readonly<Record<string, unknown>>): string {
  const iat = Math.floor(Date.now() / 1000);
  const whole = { ...claims, iss: issuer.publicKey, iat, jti: randomUUID() };
  const text = `${HEADER}.${base64url(JSON.stringify(whole))}`;
  return `${text}.${issuer.sign(text)}`;
}

/** The claims of a JWT that came over an authenticated connection, unchecked. @throws SyntaxError */
export function readClaims(jwt: string): unknown {
  return JSON.parse(Buffer.from(jwt.split(".", 2)[1] ?? "", "base64url").toString("utf8"));
}

const HEADER = base64url(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }));
function base64url(text: string): string {
  return Buffer.from(text, "utf8").toString("base64url");
}
