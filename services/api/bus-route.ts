import { GranaryError } from "../../proto/errors.ts";
import { formatCursor } from "../../proto/events.ts";
import { parseName } from "../../proto/names.ts";
import { eventsOf } from "../../proto/subjects.ts";
import type { BusJson } from "../../proto/subscription-http.ts";
import { authorize, notFound } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findOrg, newestCursor } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

/** Where a token hears its org's events on the bus, and the cursor behind which everything else happens. */
export function busRoute(server: HttpServer, context: ApiContext): void {
  server.get("/v1/orgs/:org/bus", async (request, reply) => {
    const principal = principalOf(context, request);
    const org = parseName((request.params as { org: string }).org, "org");
    authorize(principal, "read", { org });
    const of = { org, ...(principal.project === undefined ? {} : { project: principal.project }) };
    if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
    if (!context.bus.open())
      throw new GranaryError(
        "UNAVAILABLE",
        "nobody is let in on the bus now: its nats-server is away or has no gate",
      );
    const body: BusJson = {
      url: context.bus.url,
      subject: eventsOf(of),
      queue: principal.tokenId,
      cursor: formatCursor(context.read((view) => newestCursor(view, of))),
    };
    return reply.send(body);
  });
}
