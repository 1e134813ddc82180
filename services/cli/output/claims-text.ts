import type { TrustClaims } from "../../../proto/trust.ts";

/** Claims of a trust on one line: `repository_id=12, ref=refs/heads/main|refs/heads/next`. */
export function claimsText(claims: TrustClaims): string {
  return Object.entries(claims)
    .map(([name, values]) => `${name}=${values.join("|")}`)
    .join(", ");
}
