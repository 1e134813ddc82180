import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { exportSPKI, importJWK } from "jose";
import { LIMITS } from "../../../proto/limits.ts";
import {
  claimedIssuer,
  createIdTokenVerifier,
  type IdTokenVerifier,
} from "../../../services/api/verify-id-token.ts";
import { type OidcIssuer, sendJson, startOidcIssuer } from "../../helpers/oidc-issuer.ts";

let issuer: OidcIssuer;
let nowMs: number;
let verifier: IdTokenVerifier;

before(async () => {
  issuer = await startOidcIssuer({ claims: { aud: "https://farm.example", sub: "job" } });
});
after(() => issuer.close());
beforeEach(() => {
  nowMs = Date.now();
  issuer.overrides.clear();
  verifier = newVerifier();
});

function newVerifier(loopback = true): IdTokenVerifier {
  return createIdTokenVerifier({ loopback: () => loopback, now: () => nowMs, cooldownMs: 0 });
}

function refused(token: string, why: RegExp): Promise<void> {
  return assert.rejects(verifier.verify(token, issuer.url), why);
}

/** A token whose parts the test writes itself. */
function rawToken(header: object, claims: object, signature = ""): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

const seconds = (): number => Math.floor(nowMs / 1000);

function goodClaims(): Record<string, unknown> {
  const now = seconds();
  return { iss: issuer.url, aud: "https://farm.example", jti: "raw", iat: now, exp: now + 300 };
}

describe("an id token is accepted", () => {
  for (const alg of ["RS256", "ES256", "EdDSA"]) {
    test(`with a signature in ${alg}`, async () => {
      await issuer.rotate({ alg });
      const claims = await verifier.verify(
        await issuer.sign({ sub: "x", aud: ["https://farm.example"] }),
        issuer.url,
      );
      assert.deepEqual([claims.aud, claims["sub"], claims.iss], ["https://farm.example", "x", issuer.url]);
      await issuer.rotate();
    });
  }

  test("with a key that the issuer has published since, without asking for the discovery document again", async () => {
    await verifier.verify(await issuer.sign(), issuer.url);
    const before = issuer.requests.length;
    await issuer.rotate();
    await verifier.verify(await issuer.sign(), issuer.url);
    assert.deepEqual(issuer.requests.slice(before), ["/keys"]);
    await verifier.verify(await issuer.sign(), issuer.url);
    assert.equal(issuer.requests.length, before + 1, "keys are kept");
  });

  test("while clocks differ by less than the skew", async () => {
    const now = seconds();
    await verifier.verify(await issuer.sign({ iat: now + 20, nbf: now + 20 }), issuer.url);
    await verifier.verify(await issuer.sign({ iat: now - 310, nbf: now - 310, exp: now - 10 }), issuer.url);
  });
});

describe("an id token is refused", () => {
  test("with an algorithm that is none, or symmetric with the public key as its secret", async () => {
    await refused(rawToken({ alg: "none" }, goodClaims()), /alg/i);
    await refused(rawToken({ alg: "none", kid: issuer.keys[0]?.kid }, goodClaims(), "AA"), /alg/i);
    const [key] = issuer.keys;
    assert.ok(key !== undefined);
    const pem = await exportSPKI((await importJWK(key, "RS256", { extractable: true })) as never);
    const unsigned = rawToken({ alg: "HS256", kid: key.kid }, goodClaims()).slice(0, -1);
    for (const secret of [pem, pem.trim(), JSON.stringify(key)]) {
      const mac = createHmac("sha256", secret).update(unsigned).digest("base64url");
      await refused(`${unsigned}.${mac}`, /alg/i);
    }
  });

  test("with a key of its own in the header", async () => {
    const own = await startOidcIssuer();
    const forged = await own.sign(
      { ...goodClaims() },
      { jwk: own.keys[0], jku: `${own.url}/keys`, kid: "mine" },
    );
    await refused(forged, /no applicable key/);
    assert.deepEqual(own.requests, [], "nobody asks where the header points");
    await own.close();
  });

  test("with a wrong kid, a wrong signature, or a key that was withdrawn", async () => {
    await refused(await issuer.sign({}, { kid: "nobody" }), /no applicable key/);
    const good = await issuer.sign();
    await refused(`${good.slice(0, -6)}AAAAAA`, /signature/);
    const [header = "", claims = "", signature = ""] = good.split(".");
    const changed = rawToken(
      {},
      { ...JSON.parse(Buffer.from(claims, "base64url").toString()), sub: "boss" },
    ).split(".")[1];
    await refused(`${header}.${changed}.${signature}`, /signature/);
    await issuer.rotate({ publish: false });
    await refused(await issuer.sign(), /no applicable key/);
    await issuer.rotate();
  });

  test("that has expired, is not valid yet, is too old, or has no time at all", async () => {
    const now = seconds();
    await refused(await issuer.sign({ iat: now - 400, nbf: now - 400, exp: now - 60 }), /exp/);
    await refused(await issuer.sign({ nbf: now + 120 }), /nbf/);
    await refused(await issuer.sign({ iat: now + 120, nbf: now }), /iat/);
    const old = now - LIMITS.idTokenAgeMs / 1000 - 120;
    await refused(await issuer.sign({ iat: old, nbf: old, exp: now + 3_000 }), /iat/);
    for (const missing of ["exp", "iat", "jti", "aud"])
      await refused(await issuer.sign({ [missing]: undefined }), new RegExp(missing));
  });

  test("of another issuer, for several audiences, or with a jti that is no text", async () => {
    await refused(await issuer.sign({ iss: `${issuer.url}/` }), /iss/);
    await refused(await issuer.sign({ iss: "https://token.actions.githubusercontent.com" }), /iss/);
    await refused(await issuer.sign({ aud: ["https://farm.example", "https://other.example"] }), /aud/);
    await refused(await issuer.sign({ jti: 7 as never }), /jti/);
    await refused(await issuer.sign({ jti: "" }), /jti/);
  });

  test("that is none", async () => {
    for (const text of ["", ".", "..", "a.b.c", "x".repeat(16_000), rawToken({ alg: "RS256" }, [])]) {
      await assert.rejects(verifier.verify(text, issuer.url));
      assert.equal(claimedIssuer(text), undefined, text.slice(0, 20));
    }
  });
});

describe("keys are not fetched", () => {
  test("over http, from a loopback issuer that the settings do not name, or anywhere near it", async () => {
    const token = await issuer.sign();
    const before = issuer.requests.length;
    const strict = newVerifier(false);
    await assert.rejects(strict.verify(token, issuer.url), /may not be asked/);
    for (const url of [
      "http://192.0.2.1",
      "http://169.254.169.254/latest",
      "file:///etc/passwd",
      "https://u:p@x.example",
    ])
      await assert.rejects(verifier.verify(token, url), /may not be asked/);
    assert.equal(issuer.requests.length, before);
  });

  test("from another origin than the issuer's, through a redirect, or from who says it is another issuer", async () => {
    const other = await startOidcIssuer();
    const token = await issuer.sign();
    const documents: [object | undefined, RegExp][] = [
      [{ issuer: issuer.url, jwks_uri: `${other.url}/keys` }, /own origin/],
      [{ issuer: issuer.url, jwks_uri: "not a url" }, /own origin/],
      [{ issuer: other.url, jwks_uri: `${issuer.url}/keys` }, /another issuer/],
      [undefined, /fetch failed|redirect/],
    ];
    for (const [document, why] of documents) {
      verifier = newVerifier();
      issuer.overrides.set("/.well-known/openid-configuration", (_request, response) => {
        if (document !== undefined) return sendJson(response, document);
        response.writeHead(302, { location: `${other.url}/.well-known/openid-configuration` }).end();
      });
      await refused(token, why);
    }
    assert.deepEqual(other.requests, []);
    await other.close();
  });

  test("beyond their limit of size, and an issuer that failed is left alone for a while", async () => {
    const token = await issuer.sign();
    issuer.overrides.set("/keys", (_request, response) => {
      response.writeHead(200);
      const flood = setInterval(() => response.write("x".repeat(65_536)), 1);
      response.on("close", () => clearInterval(flood));
    });
    await refused(token, /more than/);
    const before = issuer.requests.length;
    await refused(token, /a moment ago/);
    assert.equal(issuer.requests.length, before);
    issuer.overrides.clear();
    nowMs += 10_000;
    await verifier.verify(token, issuer.url);
  });
});

test("tokens with unknown keys make the farm ask once, until the cooldown is over", async () => {
  const careful = createIdTokenVerifier({ loopback: () => true, now: () => nowMs });
  const before = issuer.requests.length;
  for (let i = 0; i < 5; i++)
    await assert.rejects(careful.verify(await issuer.sign({}, { kid: `unknown-${i}` }), issuer.url));
  assert.deepEqual(issuer.requests.slice(before), ["/.well-known/openid-configuration", "/keys"]);
});
