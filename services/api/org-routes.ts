import { actorText } from "../../proto/actor-text.ts";
import { GranaryError } from "../../proto/errors.ts";
import { OrgBody, type OrgJson, OrgSettingsBody } from "../../proto/http-org.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { OrgRecord, OrgSettings } from "../../proto/records.ts";
import { type Principal, requireScope } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findOrg, listOrgs } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { pageOf } from "./read-routes.ts";
import { parseBody, principalOf, submitFor } from "./request.ts";

/** Orgs, for those who run the farm. */
export function orgRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/orgs", async (request, reply) => {
    farmAdmin(context, request);
    const page = context.read((view) => listOrgs(view, pageOf(request)));
    return reply.send({ ...page, items: page.items.map(orgJson) });
  });

  server.post("/v1/orgs", async (request, reply) => {
    const principal = farmAdmin(context, request);
    const body = parseBody(OrgBody, request.body);
    const org = parseName(body.org, "org");
    const made = await submitFor(context, request, { principal, org, body: { type: "org.create" } });
    await change(context, request, { principal, org, settings: body.settings });
    return reply.code(made.type === "done" && made.changed ? 201 : 200).send(orgAt(context, org));
  });

  server.put("/v1/orgs/:org/settings", async (request, reply) => {
    const principal = farmAdmin(context, request);
    const org = orgOf(request);
    await change(context, request, { principal, org, settings: parseBody(OrgSettingsBody, request.body) });
    return reply.send(orgAt(context, org));
  });

  server.delete("/v1/orgs/:org", async (request, reply) => {
    const principal = farmAdmin(context, request);
    await submitFor(context, request, { principal, org: orgOf(request), body: { type: "org.remove" } });
    return reply.code(204).send();
  });
}

function farmAdmin(context: ApiContext, request: HttpRequest): Principal {
  const principal = principalOf(context, request);
  requireScope(principal, "farm:admin");
  return principal;
}

function orgOf(request: HttpRequest): Name {
  return parseName((request.params as { org: string }).org, "org");
}

async function change(
  context: ApiContext,
  request: HttpRequest,
  about: {
    principal: Principal;
    org: Name;
    settings: { max_queued?: number | null | undefined } | undefined;
  },
): Promise<void> {
  const { principal, org } = about;
  const { max_queued } = about.settings ?? {};
  if (about.settings === undefined) return;
  const settings: OrgSettings = max_queued === undefined ? {} : { max_queued };
  await submitFor(context, request, { principal, org, body: { type: "org.set", settings } });
}

function orgAt(context: ApiContext, org: Name): OrgJson {
  const record = context.read((view) => findOrg(view, org));
  if (record === undefined) throw new GranaryError("NOT_FOUND", `there is no org ${org}`);
  return orgJson(record);
}

function orgJson({ org, settings = {}, created_at, created_by }: OrgRecord): OrgJson {
  return { org, settings, created_at, created_by: actorText(created_by) };
}
