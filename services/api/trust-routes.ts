import { GranaryError } from "../../proto/errors.ts";
import { IdTokenBody, TrustBody } from "../../proto/http-trust.ts";
import { LIMITS } from "../../proto/limits.ts";
import { parseName } from "../../proto/names.ts";
import { checkTrustClaims, isIssuer, PROVIDER_ISSUERS, type TrustClaims } from "../../proto/trust.ts";
import { expandScopes, isFarmAdmin, notFound, type Principal, requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findOrg, findTrust, listTrusts } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import type { ApiContext } from "./context.ts";
import { createIdTokenExchange } from "./exchange-id-token.ts";
import { pageOf } from "./read-routes.ts";
import { tokenJson, trustJson } from "./render.ts";
import { chanceFor, madeElsewhere, orgAdmin, parseBody, submitFor } from "./request.ts";

/** Trust in the id tokens of CI systems, and what they are exchanged for. */
export function trustRoutes(server: HttpServer, context: ApiContext): void {
  const exchange = createIdTokenExchange(context);

  server.post("/v1/orgs/:org/trusts", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const body = parseBody(TrustBody, request.body);
    const claims: TrustClaims = Object.fromEntries(
      Object.entries(body.claims).map(([name, value]) => [name, typeof value === "string" ? [value] : value]),
    );
    if (Object.keys(claims).length > LIMITS.trustClaims)
      throw new GranaryError("USAGE", `/claims: more than ${LIMITS.trustClaims}`, { pointer: "/claims" });
    checkTrustClaims(body.provider, claims);
    const issuer = allowedIssuer(context, principal, body);
    // `write` is the others together.
    for (const scope of expandScopes(body.scopes)) if (scope !== "write") requireScope(principal, scope);
    if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
    const id = newId("tru", chanceFor(context, request, { principal, org, type: "trust.create" }));
    await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "trust.create",
        trust_id: id,
        provider: body.provider,
        issuer,
        audience: body.audience,
        claims,
        scopes: body.scopes,
        ...(body.project === undefined ? {} : { trust_project: parseName(body.project, "project") }),
      },
    });
    const record = context.read((view) => findTrust(view, org, id));
    if (record === undefined) throw madeElsewhere("trust");
    return reply.code(201).send(trustJson(record));
  });

  server.get("/v1/orgs/:org/trusts", async (request, reply) => {
    const { org } = orgAdmin(context, request);
    const page = context.read((view) => {
      if (findOrg(view, org) === undefined) throw notFound({ org });
      return listTrusts(view, org, pageOf(request));
    });
    return reply.send({ ...page, items: page.items.map(trustJson) });
  });

  server.delete("/v1/orgs/:org/trusts/:id", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const { id } = request.params as { id: string };
    await submitFor(context, request, { principal, org, body: { type: "trust.remove", trust_id: id } });
    return reply.code(204).send();
  });

  server.post("/v1/oidc/token", async (request, reply) => {
    const body = parseBody(IdTokenBody, request.body);
    const { record, token } = await exchange(request, {
      idToken: body.token,
      org: parseName(body.org, "org"),
      project: body.project === undefined ? undefined : parseName(body.project, "project"),
    });
    return reply.header("cache-control", "no-store").send({ ...tokenJson(record), token });
  });
}

/**
 * The farm asks an issuer for its keys, so an org's admin chooses among those that the operator has named.
 * @throws GranaryError USAGE, FORBIDDEN
 */
function allowedIssuer(
  context: ApiContext,
  principal: Principal,
  body: { provider: keyof typeof PROVIDER_ISSUERS | "generic"; issuer?: string | undefined },
): string {
  const issuer = body.issuer ?? (body.provider === "generic" ? "" : PROVIDER_ISSUERS[body.provider]);
  if (context.oidcIssuers.includes(issuer)) return issuer;
  if (!isIssuer(issuer, { loopback: false }))
    throw new GranaryError("USAGE", "/issuer: an https URL without query is wanted", { pointer: "/issuer" });
  if (!isFarmAdmin(principal)) {
    throw new GranaryError(
      "FORBIDDEN",
      `only farm:admin may trust ${issuer}: the farm's setting oidc_issuers does not name it`,
      { scope: "farm:admin", pointer: "/issuer" },
    );
  }
  return issuer;
}
