import { HoldBody, type HoldJson } from "../../proto/http.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { Scope } from "../../proto/records.ts";
import { authorize, notFound, type Principal, requireScope } from "../shared/authenticate.ts";
import { findWiderHold } from "../shared/find-hold.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findOrg } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { holdOf } from "./pointer-routes.ts";
import { parseBody, principalOf, submitFor } from "./request.ts";

/** Holds over all projects of an org, or of the farm; those of one project are in `pointer-routes.ts`. */
export function holdRoutes(server: HttpServer, context: ApiContext): void {
  const heldJson = (of: { org?: Name }): HoldJson => ({
    ...of,
    held: context.read((view) => findWiderHold(view, of, context.now())) ?? null,
  });

  server.get("/v1/orgs/:org/holds", async (request, reply) => {
    const { org } = orgScoped(context, request, "read");
    return reply.send(heldJson({ org }));
  });

  server.post("/v1/orgs/:org/holds", async (request, reply) => {
    const { principal, org } = orgScoped(context, request, "hold");
    const hold = holdOf(parseBody(HoldBody, request.body), context.now());
    await submitFor(context, request, { principal, org, body: { type: "org.hold", ...hold } });
    return reply.send(heldJson({ org }));
  });

  server.delete("/v1/orgs/:org/holds", async (request, reply) => {
    const { principal, org } = orgScoped(context, request, "hold");
    await submitFor(context, request, { principal, org, body: { type: "org.unhold" } });
    return reply.send(heldJson({ org }));
  });

  server.get("/v1/holds", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send(heldJson({}));
  });

  server.post("/v1/holds", async (request, reply) => {
    const principal = principalOf(context, request);
    requireScope(principal, "farm:admin");
    const hold = holdOf(parseBody(HoldBody, request.body), context.now());
    const { org } = principal;
    await submitFor(context, request, { principal, org, body: { type: "farm.hold", ...hold } });
    return reply.send(heldJson({}));
  });

  server.delete("/v1/holds", async (request, reply) => {
    const principal = principalOf(context, request);
    requireScope(principal, "farm:admin");
    await submitFor(context, request, { principal, org: principal.org, body: { type: "farm.unhold" } });
    return reply.send(heldJson({}));
  });
}

/** A token that is bound to a project does not act on its siblings. @throws GranaryError NOT_FOUND, FORBIDDEN */
function orgScoped(
  context: ApiContext,
  request: HttpRequest,
  scope: Scope,
): { principal: Principal; org: Name } {
  const principal = principalOf(context, request);
  const org = parseName((request.params as { org: string }).org, "org");
  authorize(principal, scope, { org });
  if (principal.project !== undefined && scope !== "read") requireScope(principal, "farm:admin");
  if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
  return { principal, org };
}
