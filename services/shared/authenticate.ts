import { GranaryError } from "../../proto/errors.ts";
import type { Name } from "../../proto/names.ts";
import type { Actor, Scope, TokenRecord } from "../../proto/records.ts";
import { parseToken, tokenHash } from "../../proto/token.ts";

/** Who asks, and what the token allows. The org comes from the token, never from a request. */
export interface Principal {
  readonly tokenId: string;
  readonly org: Name;
  /** Set on tokens that are bound to one project. */
  readonly project: Name | undefined;
  readonly scopes: ReadonlySet<Scope>;
  readonly expiresAt: string | undefined;
  readonly actor: Actor;
}

const WRITE: readonly Scope[] = ["read", "publish", "preview", "activate"];
const ADMIN: readonly Scope[] = [...WRITE, "rollback", "hold", "token:admin"];

/**
 * @param authorization the Authorization header: Bearer, or Basic with the token as password (what registry clients send)
 * @throws GranaryError UNAUTHENTICATED; the message never tells which part was wrong
 */
export function authenticate(authorization: string | undefined, look: TokenLook): Principal {
  return authenticateToken(tokenOf(authorization), look);
}

interface TokenLook {
  tokenByHash(hash: string): TokenRecord | undefined;
  now(): number;
}

/** @throws GranaryError UNAUTHENTICATED, as {@link authenticate} */
export function authenticateToken(token: string | undefined, look: TokenLook): Principal {
  if (token === undefined) throw new GranaryError("UNAUTHENTICATED", "no token was sent");
  const record = parseToken(token) === undefined ? undefined : look.tokenByHash(tokenHash(token));
  if (record === undefined || !isTokenLive(record, look.now())) {
    throw new GranaryError("UNAUTHENTICATED", "the token is not valid, has expired or was revoked");
  }
  return {
    tokenId: record.id,
    org: record.org,
    project: record.project,
    scopes: expandScopes(record.scopes),
    expiresAt: record.expires_at,
    actor: { kind: "token", id: record.id },
  };
}

/** Neither revoked nor expired. */
export function isTokenLive(record: TokenRecord, nowMs: number): boolean {
  const expired = record.expires_at !== undefined && Date.parse(record.expires_at) <= nowMs;
  return record.revoked_at === undefined && !expired;
}

function tokenOf(authorization: string | undefined): string | undefined {
  const [scheme, value] = authorization?.split(" ", 2) ?? [];
  if (value === undefined) return undefined;
  if (scheme?.toLowerCase() === "bearer") return value;
  if (scheme?.toLowerCase() !== "basic") return undefined;
  const decoded = Buffer.from(value, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  return colon < 0 ? undefined : decoded.slice(colon + 1);
}

/** What scopes open, the ones that they imply included. */
export function expandScopes(scopes: readonly Scope[]): ReadonlySet<Scope> {
  const all = new Set<Scope>(scopes);
  if (all.has("write")) for (const scope of WRITE) all.add(scope);
  if (all.has("admin") || all.has("farm:admin")) for (const scope of ADMIN) all.add(scope);
  if (all.has("farm:admin")) all.add("farm:read");
  return all;
}

export function isFarmAdmin(principal: Principal): boolean {
  return principal.scopes.has("farm:admin");
}

/**
 * Checks that `principal` may do `scope` there. Another org's objects answer as if they did not exist.
 * @throws GranaryError NOT_FOUND, FORBIDDEN
 */
export function authorize(principal: Principal, scope: Scope, where: { org: Name; project?: Name }): void {
  if (where.org !== principal.org && !isFarmAdmin(principal)) throw notFound(where);
  if (principal.project !== undefined && where.project !== undefined && where.project !== principal.project)
    throw notFound(where);
  requireScope(principal, scope);
}

/** @throws GranaryError FORBIDDEN */
export function requireScope(principal: Principal, scope: Scope): void {
  if (principal.scopes.has(scope)) return;
  throw new GranaryError("FORBIDDEN", `the token lacks the scope ${scope}`, { scope });
}

/** The one answer for "not there" and "not yours": the same body for both. */
export function notFound(where: { org: string; project?: string }): GranaryError {
  return new GranaryError(
    "NOT_FOUND",
    `there is no ${where.project === undefined ? `org ${where.org}` : `project ${where.org}/${where.project}`}`,
  );
}
