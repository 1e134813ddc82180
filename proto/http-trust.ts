import { z } from "zod";
import { LIMITS } from "./limits.ts";
import type { Scope } from "./records.ts";
import { TRUST_PROVIDERS, TRUST_SCOPES, type TrustClaims, type TrustProvider } from "./trust.ts";

/** Shapes of the HTTP API about trust in CI jobs, as proto/http.ts has the others. */
export interface TrustJson {
  readonly id: string;
  readonly org: string;
  readonly project?: string;
  readonly provider: TrustProvider;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: TrustClaims;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  readonly created_by: string;
}

const claimValue = z.string().min(1).max(LIMITS.trustValueLength);
/** `POST /v1/orgs/{org}/trusts`. */
export const TrustBody = z.strictObject({
  provider: z.enum(TRUST_PROVIDERS),
  issuer: z.string().max(LIMITS.trustValueLength).optional(),
  audience: claimValue,
  claims: z.record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_.:/-]{0,99}$/),
    z.union([claimValue, z.array(claimValue).min(1).max(LIMITS.trustClaimValues)]),
  ),
  scopes: z.array(z.enum(TRUST_SCOPES)).min(1).max(TRUST_SCOPES.length),
  project: z.string().optional(),
});
/** `POST /v1/oidc/token`. */
export const IdTokenBody = z.strictObject({
  token: z.string().min(1).max(LIMITS.idTokenBytes),
  org: z.string(),
  project: z.string().optional(),
});
