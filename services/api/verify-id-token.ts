import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  type JWTPayload,
  jwtVerify,
  type RemoteJWKSet,
} from "jose";
import { LIMITS } from "../../proto/limits.ts";
import { isIssuer } from "../../proto/trust.ts";

/** Claims of an id token whose signature, issuer, time and form were verified. The audience is the caller's question. */
export interface IdTokenClaims extends JWTPayload {
  readonly iss: string;
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
  readonly aud: string;
}

export interface IdTokenVerifier {
  /** @throws Error whose message says why; it is for the log, never for the one who sent the token */
  verify(token: string, issuer: string): Promise<IdTokenClaims>;
}

/** Asymmetric signatures only: with `none` or HS* the public key, or nothing, would be a secret. */
const ALGORITHMS = ["RS256", "ES256", "EdDSA"];
/** How long a discovery document counts. Keys are fetched anew more often. */
const DISCOVERY_MS = 3_600_000;
const KEYS_MS = 600_000;
/** Tokens with unknown keys make the farm ask an issuer once in this time, not more. */
const COOLDOWN_MS = 30_000;
/** An issuer that did not answer is left alone for a while. */
const FAILURE_MS = 5_000;
/** Farms trust a few issuers. */
const ISSUERS_MAX = 64;

interface KnownIssuer {
  readonly keys: Promise<RemoteJWKSet>;
  readonly untilMs: number;
  failedMs: number;
}

/**
 * Verifies id tokens against the keys that their issuer publishes (OpenID Connect Discovery 1.0). Keys come from the issuer's own
 * origin, over HTTPS, without redirects, bounded in size and time.
 *
 * @param loopback whether an http issuer on loopback may be asked: only those that the farm's settings name
 */
export function createIdTokenVerifier(options: {
  loopback(issuer: string): boolean;
  now(): number;
  cooldownMs?: number;
}): IdTokenVerifier {
  const { loopback, now, cooldownMs = COOLDOWN_MS } = options;
  const issuers = new Map<string, KnownIssuer>();

  function keysOf(issuer: string): KnownIssuer {
    const known = issuers.get(issuer);
    if (known !== undefined && known.untilMs > now()) return known;
    if (!isIssuer(issuer, { loopback: loopback(issuer) })) throw new Error(`${issuer} may not be asked`);
    const fresh: KnownIssuer = {
      failedMs: Number.NEGATIVE_INFINITY,
      untilMs: now() + DISCOVERY_MS,
      keys: discover(issuer).then((url) =>
        createRemoteJWKSet(url, {
          cooldownDuration: cooldownMs,
          cacheMaxAge: KEYS_MS,
          timeoutDuration: LIMITS.issuerAnswerMs,
          [customFetch]: async (target, init) => {
            if (now() - fresh.failedMs < FAILURE_MS) throw new Error(`${issuer} did not answer a moment ago`);
            return fetchBounded(target, init).catch((error: unknown) => {
              fresh.failedMs = now();
              throw error;
            });
          },
        }),
      ),
    };
    fresh.keys.catch(() => issuers.set(issuer, { ...fresh, untilMs: now() + FAILURE_MS }));
    issuers.delete(issuer);
    issuers.set(issuer, fresh);
    const [oldest] = issuers.keys();
    if (issuers.size > ISSUERS_MAX && oldest !== undefined) issuers.delete(oldest);
    return fresh;
  }

  return {
    verify: async (token, issuer) => {
      const { payload } = await jwtVerify(token, await keysOf(issuer).keys, {
        algorithms: ALGORITHMS,
        issuer,
        requiredClaims: ["exp", "iat", "jti", "aud"],
        maxTokenAge: LIMITS.idTokenAgeMs / 1000,
        clockTolerance: LIMITS.idTokenSkewMs / 1000,
        currentDate: new Date(now()),
      });
      return checkForm(payload, issuer);
    },
  };
}

/** The issuer that a token claims to come from; nothing of it is verified. */
export function claimedIssuer(token: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === "string" ? iss : undefined;
  } catch {
    return undefined;
  }
}

function checkForm(payload: JWTPayload, issuer: string): IdTokenClaims {
  const { jti, iat, exp, aud } = payload;
  if (typeof jti !== "string" || jti === "") throw new Error("jti is no text");
  // A token for several audiences could be used here by the others.
  const audience = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof audience !== "string") throw new Error("aud is not one audience");
  if (iat === undefined || exp === undefined) throw new Error("iat or exp is missing");
  return { ...payload, iss: issuer, jti, iat, exp, aud: audience };
}

/** Where the issuer publishes its keys. */
async function discover(issuer: string): Promise<URL> {
  const response = await fetchBounded(`${issuer.replace(/\/+$/, "")}/.well-known/openid-configuration`, {
    headers: new Headers({ accept: "application/json" }),
    signal: AbortSignal.timeout(LIMITS.issuerAnswerMs),
  });
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown } | null;
  if (document?.issuer !== issuer) throw new Error(`${issuer} says that it is another issuer`);
  const keys = typeof document.jwks_uri === "string" ? document.jwks_uri : "";
  if (!URL.canParse(keys) || new URL(keys).origin !== new URL(issuer).origin)
    throw new Error(`the keys of ${issuer} are not at its own origin`);
  return new URL(keys);
}

/** @throws Error on another status than 200, a redirect, or an answer that is too long */
async function fetchBounded(url: string, init: { headers: Headers; signal: AbortSignal }): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: "error" });
  if (response.status !== 200 || response.body === null)
    throw new Error(`${url} answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    size += chunk.byteLength;
    if (size > LIMITS.issuerAnswerBytes)
      throw new Error(`${url} answered more than ${LIMITS.issuerAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return new Response(Buffer.concat(chunks), {
    status: 200,
    headers: { "content-type": "application/json" },
  });
}
