import { randomBytes } from "node:crypto";
import { GranaryError } from "../../proto/errors.ts";
import { parseDurationMs, TokenBody, type WhoamiJson } from "../../proto/http.ts";
import { type Name, parseName } from "../../proto/names.ts";
import { formatToken, tokenHash } from "../../proto/token.ts";
import { authorize, isFarmAdmin, type Principal, requireScope } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findOrg, findToken, listTokens } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { pageOf } from "./read-routes.ts";
import { tokenJson } from "./render.ts";
import { parseBody, principalOf, submitFor } from "./request.ts";

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
    const { principal, org } = tokenAdmin(context, request);
    const body = parseBody(TokenBody, request.body);
    for (const scope of body.scopes) {
      if (scope.startsWith("farm:") && !isFarmAdmin(principal))
        throw new GranaryError("FORBIDDEN", `only farm:admin may grant ${scope}`, { scope });
    }
    if (context.read((view) => findOrg(view, org)) === undefined)
      await submitFor(context, request, { principal, org, body: { type: "org.create" } });
    const id = randomText(16, ALPHABET.slice(0, 36));
    const token = formatToken("tok", id, randomText(32, ALPHABET));
    const expiresMs = body.expires === undefined ? undefined : parseDurationMs(body.expires);
    await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "token.create",
        token_id: id,
        hash: tokenHash(token),
        scopes: body.scopes,
        ...(body.project === undefined ? {} : { token_project: parseName(body.project, "project") }),
        ...(expiresMs === undefined ? {} : { expires_at: new Date(context.now() + expiresMs).toISOString() }),
      },
    });
    const record = context.read((view) => findToken(view, org, id));
    if (record === undefined)
      throw new GranaryError("INTERNAL", `token ${id} was created and is not in the state`);
    return reply
      .code(201)
      .header("cache-control", "no-store")
      .send({ ...tokenJson(record), token });
  });

  server.get("/v1/orgs/:org/tokens", async (request, reply) => {
    const { org } = tokenAdmin(context, request);
    const page = context.read((view) => listTokens(view, org, pageOf(request)));
    return reply.send({ ...page, items: page.items.map(tokenJson) });
  });

  server.delete("/v1/orgs/:org/tokens/:id", async (request, reply) => {
    const { principal, org } = tokenAdmin(context, request);
    const { id } = request.params as { id: string };
    await submitFor(context, request, { principal, org, body: { type: "token.revoke", token_id: id } });
    return reply.code(204).send();
  });
}

function tokenAdmin(context: ApiContext, request: HttpRequest): { principal: Principal; org: Name } {
  const principal = principalOf(context, request);
  const org = parseName((request.params as { org: string }).org, "org");
  authorize(principal, "token:admin", { org });
  if (principal.project !== undefined) requireScope(principal, "farm:admin");
  return { principal, org };
}

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Uniform over `alphabet`: bytes past the largest multiple of its length are drawn again. */
function randomText(length: number, alphabet: string = ALPHABET): string {
  const bound = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length))
      if (byte < bound && text.length < length) text += alphabet[byte % alphabet.length];
  }
  return text;
}
