import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import { TokenBody, type WhoamiJson } from "../../proto/http.ts";
import { parseName } from "../../proto/names.ts";
import { isFarmAdmin } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findOrg, findToken, listTokens } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { mintToken } from "./mint-token.ts";
import { pageOf } from "./read-routes.ts";
import { tokenJson } from "./render.ts";
import { chanceFor, madeElsewhere, orgAdmin, parseBody, principalOf, submitFor } from "./request.ts";

/** Tokens, and who one is. */
export function accessRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/whoami", async (request, reply) => {
    const principal = principalOf(context, request);
    const body: WhoamiJson = {
      token_id: principal.tokenId,
      org: principal.org,
      ...(principal.project === undefined ? {} : { project: principal.project }),
      scopes: [...principal.scopes].sort(),
      expires_at: principal.expiresAt ?? null,
    };
    return reply.send(body);
  });

  server.post("/v1/orgs/:org/tokens", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const body = parseBody(TokenBody, request.body);
    for (const scope of body.scopes) {
      if (scope.startsWith("farm:") && !isFarmAdmin(principal))
        throw new GranaryError("FORBIDDEN", `only farm:admin may grant ${scope}`, { scope });
    }
    if (context.read((view) => findOrg(view, org)) === undefined)
      await submitFor(context, request, { principal, org, body: { type: "org.create" } });
    const asked = { principal, org, type: "token.create" } as const;
    const { id, token, hash } = mintToken(chanceFor(context, request, asked).random);
    const expiresMs = body.expires === undefined ? undefined : parseDurationMs(body.expires);
    await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "token.create",
        token_id: id,
        hash,
        scopes: body.scopes,
        ...(body.project === undefined ? {} : { token_project: parseName(body.project, "project") }),
        ...(expiresMs === undefined ? {} : { expires_at: new Date(context.now() + expiresMs).toISOString() }),
      },
    });
    const record = context.read((view) => findToken(view, org, id));
    if (record === undefined) throw madeElsewhere("token");
    return reply
      .code(201)
      .header("cache-control", "no-store")
      .send({ ...tokenJson(record), token });
  });

  server.get("/v1/orgs/:org/tokens", async (request, reply) => {
    const { org } = orgAdmin(context, request);
    const page = context.read((view) => listTokens(view, org, pageOf(request)));
    return reply.send({ ...page, items: page.items.map(tokenJson) });
  });

  server.delete("/v1/orgs/:org/tokens/:id", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const { id } = request.params as { id: string };
    await submitFor(context, request, { principal, org, body: { type: "token.revoke", token_id: id } });
    return reply.code(204).send();
  });
}
