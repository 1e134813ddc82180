import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { TrustJson } from "../../../proto/http-trust.ts";
import { checkTrustClaims, TRUST_PROVIDERS, TRUST_SCOPES, type TrustProvider } from "../../../proto/trust.ts";
import { orgAndProject } from "../org-and-project.ts";
import { claimsText } from "../output/claims-text.ts";
import { tokenOrg } from "../references.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Trusts the jobs of a CI system. */
export const trustAdd: VerbHandler<"trust add"> = async ({ args, flags, output, api, settings }) => {
  const provider = oneOf("provider", args[0] ?? "", TRUST_PROVIDERS);
  const scopes = flags.list("scope").map((scope) => oneOf("scope of a trust", scope, TRUST_SCOPES));
  if (scopes.length === 0) throw new GranaryError("USAGE", `--scope is missing: ${TRUST_SCOPES.join(", ")}`);
  const claims = claimsOf(flags.list("claim"), provider);
  const issuer = flags.text("issuer");
  if (provider === "generic" && issuer === undefined)
    throw new GranaryError("USAGE", "--issuer is missing: the URL in the iss claim of its id tokens");
  const { org: given, project } = orgAndProject(flags);
  const client = api();
  const org = given ?? (await tokenOrg(client));
  const body = {
    provider,
    ...(issuer === undefined ? {} : { issuer }),
    audience: flags.text("audience") ?? settings().url.value,
    claims,
    scopes,
    ...(project === undefined ? {} : { project }),
  };
  const trust = await client.command<TrustJson>("POST", `/v1/orgs/${encodeURIComponent(org)}/trusts`, body);
  output.emit(trust, () => {
    output.line(trust.id);
    const bound = trust.project === undefined ? trust.org : `${trust.org}/${trust.project}`;
    output.note(
      `${trust.issuer} with ${claimsText(trust.claims)} may ${trust.scopes.join(", ")} in ${bound}`,
    );
    output.note(`its jobs ask for id tokens with the audience ${trust.audience}`);
  });
  return EXIT.ok;
};

/** `K=V`, repeated: values of one claim are alternatives. @throws GranaryError USAGE */
function claimsOf(texts: readonly string[], provider: TrustProvider): Readonly<Record<string, string[]>> {
  const claims = new Map<string, string[]>();
  for (const text of texts) {
    const at = text.indexOf("=");
    if (at < 1) throw new GranaryError("USAGE", `--claim wants NAME=VALUE, not ${JSON.stringify(text)}`);
    const name = text.slice(0, at);
    claims.set(name, [...(claims.get(name) ?? []), text.slice(at + 1)]);
  }
  const record = Object.fromEntries(claims);
  checkTrustClaims(provider, record);
  return record;
}

function oneOf<T extends string>(what: string, text: string, known: readonly T[]): T {
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  const near = suggest(text, known);
  throw new GranaryError(
    "USAGE",
    `no such ${what}: ${JSON.stringify(text)}${near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`}`,
  );
}
