import { GranaryError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** Trust in the id tokens of a CI system (OpenID Connect): which claims decide, and what a trust may grant. */
export const TRUST_PROVIDERS = ["github", "gitlab", "generic"] as const;
export type TrustProvider = (typeof TRUST_PROVIDERS)[number];

/** The public issuers; a trust in one of their own hosts names it. */
export const PROVIDER_ISSUERS = {
  github: "https://token.actions.githubusercontent.com",
  gitlab: "https://gitlab.com",
} as const;

/**
 * What a job may get. Not `token:admin`, `admin` or `farm:*`: with them a token of ten minutes could make one that never ends.
 */
export const TRUST_SCOPES = ["read", "publish", "preview", "activate", "rollback", "hold", "write"] as const;

/**
 * Claims of the two providers that a trust may name. Names of repositories, owners and users are not among them, nor `sub`, which
 * is made of them: who deletes or renames one leaves the name to whoever takes it next, while an id is never given twice.
 */
const CLAIMS: Readonly<
  Record<Exclude<TrustProvider, "generic">, { ids: readonly string[]; conditions: readonly string[] }>
> = {
  github: {
    ids: ["repository_id", "repository_owner_id"],
    conditions: ["ref", "ref_type", "ref_protected", "environment", "event_name", "job_workflow_ref"],
  },
  gitlab: {
    ids: ["project_id", "namespace_id"],
    conditions: [
      "ref",
      "ref_type",
      "ref_protected",
      "environment",
      "environment_protected",
      "pipeline_source",
    ],
  },
};

/** Claims that are verified for every token, and decide nothing. */
const VERIFIED = new Set(["iss", "aud", "exp", "nbf", "iat", "jti"]);

export type TrustClaims = Readonly<Record<string, readonly string[]>>;

/** An issuer as it may stand in a trust. http only where `loopback` allows it. */
export function isIssuer(text: string, allow: { loopback: boolean }): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== "" || url.password !== "" || /[?#\s]/.test(text)) return false;
  return url.protocol === "https:" || (allow.loopback && url.protocol === "http:" && isLoopback(url));
}

function isLoopback(url: URL): boolean {
  return ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
}

/** @throws GranaryError USAGE with the pointer of the claim that is wrong */
export function checkTrustClaims(provider: TrustProvider, claims: TrustClaims): void {
  const names = Object.keys(claims);
  if (provider === "generic") {
    const verified = names.find((name) => VERIFIED.has(name));
    if (verified !== undefined) throw wrongClaim(verified, "is verified anyway and tells no jobs apart");
    if (names.length === 0)
      throw wrongClaim("", "a trust in everybody at the issuer: name a claim, such as sub");
    return;
  }
  const { ids, conditions } = CLAIMS[provider];
  for (const name of names) {
    if (!ids.includes(name) && !conditions.includes(name))
      throw wrongClaim(
        name,
        `is none of ${[...ids, ...conditions].join(", ")}: names can be taken over, ids cannot`,
      );
    const odd = ids.includes(name) && claims[name]?.find((value) => !/^[1-9][0-9]{0,19}$/.test(value));
    if (typeof odd === "string")
      throw wrongClaim(name, `is a number, not ${JSON.stringify(odd.slice(0, 80))}`);
  }
  if (!ids.some((id) => names.includes(id))) throw wrongClaim("", `one of ${ids.join(", ")} is needed`);
}

function wrongClaim(name: string, why: string): GranaryError {
  const pointer = name === "" ? "/claims" : `/claims/${name}`;
  return new GranaryError("USAGE", `${pointer}: ${why}`, { pointer });
}

/** Whether verified claims are those that the trust asks for: each of them, each with one of its values. */
export function claimsMatch(wanted: TrustClaims, verified: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(wanted);
  return (
    names.length > 0 &&
    names.every((name) => {
      const value = Object.hasOwn(verified, name) ? claimText(verified[name]) : undefined;
      return value !== undefined && wanted[name]?.includes(value) === true;
    })
  );
}

/** Issuers differ in whether ids and flags are text; lists and objects never match. */
function claimText(value: unknown): string | undefined {
  if (typeof value === "string") return value.length <= LIMITS.trustValueLength ? value : undefined;
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return String(value);
  return undefined;
}
