import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

/** An OpenID Connect issuer of our own: a real HTTP server with a discovery document, keys and endpoints for CI jobs. */
export interface OidcIssuer {
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[];
  /** The public keys that are published; tests change them. */
  readonly keys: JWK[];
  /** What is answered to a path instead, until it is deleted. */
  readonly overrides: Map<string, (request: IncomingMessage, response: ServerResponse) => void>;
  /** Makes a key, publishes it unless told otherwise, and signs with it from now on. */
  rotate(options?: { alg?: string; publish?: boolean }): Promise<CryptoKey>;
  /** A signed id token; `claims` and `header` are laid over good ones. */
  sign(claims?: JWTPayload, header?: Readonly<Record<string, unknown>>, key?: CryptoKey): Promise<string>;
  close(): Promise<void>;
}

export async function startOidcIssuer(options: { claims?: JWTPayload } = {}): Promise<OidcIssuer> {
  const keys: JWK[] = [];
  const requests: string[] = [];
  const overrides: OidcIssuer["overrides"] = new Map();
  let signing: { key: CryptoKey; kid: string; alg: string };
  let serial = 0;

  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    requests.push(path);
    const override = overrides.get(path);
    if (override !== undefined) return override(request, response);
    if (path === "/.well-known/openid-configuration")
      return sendJson(response, { issuer: url, jwks_uri: `${url}/keys` });
    if (path === "/keys") return sendJson(response, { keys });
    response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const rotate: OidcIssuer["rotate"] = async ({ alg = "RS256", publish = true } = {}) => {
    const pair = await generateKeyPair(alg, { extractable: true });
    signing = { key: pair.privateKey, kid: `key-${++serial}`, alg };
    if (publish) keys.push({ ...(await exportJWK(pair.publicKey)), kid: signing.kid, alg, use: "sig" });
    return pair.publicKey;
  };
  await rotate();

  return {
    url,
    requests,
    keys,
    overrides,
    rotate,
    sign: async (claims = {}, header = {}, key = signing.key) => {
      const now = Math.floor(Date.now() / 1000);
      const whole: JWTPayload = {
        iss: url,
        jti: `jti-${++serial}-${now}`,
        iat: now,
        nbf: now,
        exp: now + 300,
        ...options.claims,
        ...claims,
      };
      return new SignJWT(whole)
        .setProtectedHeader({ alg: signing.alg, kid: signing.kid, ...header })
        .sign(key);
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
}
