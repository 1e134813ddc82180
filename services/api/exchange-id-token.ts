import { createHash } from "node:crypto";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import type { TokenRecord, TrustRecord } from "../../proto/records.ts";
import { claimsMatch } from "../../proto/trust.ts";
import type { HttpRequest } from "../shared/http-server.ts";
import { findToken, isIdTokenUsed, listTrusts } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import type { ApiContext } from "./context.ts";
import { mintToken } from "./mint-token.ts";
import type { IdTokenClaims } from "./verify-id-token.ts";

interface Asked {
  readonly idToken: string;
  readonly org: Name;
  readonly project: Name | undefined;
}

/** Log time and this api's clock may differ; a `jti` is remembered longer than its token could be accepted. */
const JTI_MARGIN_MS = 600_000;
const SUBJECT_LENGTH = 200;

/**
 * Exchanges id tokens of CI jobs for tokens of ten minutes, by the trusts of the org. Whatever is wrong, the answer is the same:
 * which orgs and trusts there are is nobody's business; the log has the reason.
 */
export function createIdTokenExchange(
  context: ApiContext,
): (request: HttpRequest, asked: Asked) => Promise<{ record: TokenRecord; token: string }> {
  let verifying = 0;
  let loaded: ReturnType<typeof loadVerifier> | undefined;

  return async (request, asked) => {
    if (verifying >= LIMITS.idTokensVerified)
      throw new GranaryError("RATE_LIMITED", `${verifying} id tokens are being verified`, {
        limit: LIMITS.idTokensVerified,
      });
    verifying += 1;
    try {
      loaded ??= loadVerifier(context);
      const { claimedIssuer, verifier } = await loaded;
      const trusts = trustsFor(context, asked, claimedIssuer(asked.idToken));
      const claims = await verifier.verify(asked.idToken, trusts[0].issuer);
      return await issue(context, request, asked, trustOf(trusts, claims, asked), claims);
    } catch (error) {
      if (error instanceof GranaryError && error.code !== "STATE_CONFLICT" && error.code !== "NOT_FOUND")
        throw error;
      const reason = error instanceof Error ? error.message.slice(0, 300) : "unknown";
      context.log.warn({ request_id: request.id, org: asked.org, reason }, "id token refused");
      throw new GranaryError("ID_TOKEN_REFUSED", `the id token is not accepted for ${asked.org}`);
    } finally {
      verifying -= 1;
    }
  };
}

/** With the first id token: most farms see none, and jose takes 40 ms of CPU of their start. */
async function loadVerifier({ oidcIssuers, now }: ApiContext) {
  const { claimedIssuer, createIdTokenVerifier } = await import("./verify-id-token.ts");
  const loopback = (issuer: string): boolean => oidcIssuers.includes(issuer);
  return { claimedIssuer, verifier: createIdTokenVerifier({ loopback, now }) };
}

type Some<T> = readonly [T, ...T[]];

/** The trusts that might be meant: of the token's issuer, and not of another project. Looked for before anything is fetched. */
function trustsFor(context: ApiContext, asked: Asked, issuer: string | undefined): Some<TrustRecord> {
  const all = context.read((view) => listTrusts(view, asked.org, { limit: LIMITS.trustsPerOrg })).items;
  const [first, ...others] = all.filter(
    (trust) =>
      trust.issuer === issuer &&
      (asked.project === undefined || trust.project === undefined || trust.project === asked.project),
  );
  if (first === undefined) throw new Error(`no trust in ${JSON.stringify(issuer?.slice(0, 200))}`);
  return [first, ...others];
}

/** The trust that fits; of several the one of the project that was asked for, else the oldest. */
function trustOf(trusts: Some<TrustRecord>, claims: IdTokenClaims, asked: Asked): TrustRecord {
  const forAudience = trusts.filter((trust) => trust.audience === claims.aud);
  if (forAudience.length === 0) throw new Error(`no trust for the audience ${claims.aud.slice(0, 200)}`);
  const fitting = forAudience.filter((trust) => claimsMatch(trust.claims, claims));
  const bound = fitting.find((trust) => asked.project !== undefined && trust.project === asked.project);
  const trust = bound ?? fitting[0];
  if (trust === undefined) throw new Error(`no trust fits the claims of ${subjectOf(claims)}`);
  return trust;
}

async function issue(
  context: ApiContext,
  request: HttpRequest,
  asked: Asked,
  trust: TrustRecord,
  claims: IdTokenClaims,
): Promise<{ record: TokenRecord; token: string }> {
  const { org } = asked;
  const bound = trust.project ?? asked.project;
  const jti = createHash("sha256")
    .update(JSON.stringify([claims.iss, claims.jti]))
    .digest("hex");
  // What is known here needs no command: who repeats an old token cannot fill the log.
  if (context.read((view) => isIdTokenUsed(view, jti))) throw new Error("the id token was used before");
  const { id, token, hash } = mintToken();
  const acceptedUntilMs = Math.min(claims.exp * 1000, claims.iat * 1000 + LIMITS.idTokenAgeMs);
  const result = await context.submit({
    v: 1,
    id: newId("cmd"),
    actor: { kind: "trust", id: trust.id },
    org,
    ...(bound === undefined ? {} : { project: bound }),
    request_id: request.id,
    remote: request.ip,
    body: {
      type: "oidc.exchange",
      trust_id: trust.id,
      jti,
      jti_expires_ms: Math.ceil(acceptedUntilMs) + LIMITS.idTokenSkewMs + JTI_MARGIN_MS,
      token_id: id,
      hash,
      expires_at: new Date(context.now() + LIMITS.exchangedTokenMs).toISOString(),
      ...(bound === undefined ? {} : { token_project: bound }),
      reason: subjectOf(claims),
    },
  });
  if (!result.ok) throw GranaryError.fromWire(result.error);
  const record = context.read((view) => findToken(view, org, id));
  if (record === undefined)
    throw new GranaryError("INTERNAL", `token ${id} was issued and is not in the state`);
  return { record, token };
}

/** Printable ASCII of the subject: it goes into audit trail and log. */
function subjectOf(claims: IdTokenClaims): string {
  const text = typeof claims.sub === "string" ? claims.sub : "no subject";
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, SUBJECT_LENGTH);
}
