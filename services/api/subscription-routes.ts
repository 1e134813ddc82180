import { GranaryError } from "../../proto/errors.ts";
import { type Cursor, formatCursor, parseCursor } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { SubscriptionRecord } from "../../proto/records.ts";
import {
  SubscriptionClaimBody,
  SubscriptionCommitBody,
  type SubscriptionJson,
} from "../../proto/subscription-http.ts";
import { authorize, notFound, type Principal } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { RANGES } from "../shared/state-keys.ts";
import { findOrg, findSubscription, listSubscriptions, newestCursor } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { pageOf } from "./read-routes.ts";
import { refuseFuture } from "./refuse-future.ts";
import { parseBody, principalOf, submitFor } from "./request.ts";

/**
 * Durable cursors that the subscribers of a group share. `read` is enough: a cursor is the bookmark of who reads, and their number is
 * bounded. A token of one project sees the groups of that project only.
 */
export function subscriptionRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/orgs/:org/subscriptions", async (request, reply) => {
    const { org, principal } = orgOf(context, request);
    const fits = (record: SubscriptionRecord): boolean => isVisible(principal, record);
    const page = context.read((view) => listSubscriptions(view, org, { ...pageOf(request), fits }));
    return reply.send({ ...page, items: page.items.map(subscriptionJson) });
  });

  server.get("/v1/orgs/:org/subscriptions/:group(^[^:]+)", async (request, reply) =>
    reply.send(subscriptionJson(await recordOf(context, request))),
  );

  server.post("/v1/orgs/:org/subscriptions/:group(^[^:]+)::claim", async (request, reply) => {
    const { org, group, principal } = groupOf(context, request);
    const { project, from, holder, ttl_s } = parseBody(SubscriptionClaimBody, request.body);
    const of = project ?? principal.project;
    const of_project = of === undefined ? {} : { of_project: parseName(of, "project") };
    authorize(principal, "read", { org, ...(of === undefined ? {} : { project: parseName(of, "project") }) });
    const known = context.read((view) => findSubscription(view, org, group));
    if (known !== undefined && !isVisible(principal, known)) throw unknown(org, group);
    if (known === undefined) refuseOneMore(context, org);
    const start = await beginning(context, from, { org, ...(of && { project: of as Name }) });
    // Who stands by asks every other second, for days: while a claim lives that is answered without a command.
    if (known !== undefined && known.of_project === of && isHeldByOther(context, known, holder))
      return reply.send({ ...subscriptionJson(known), held: false });
    const value = await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "subscription.claim",
        group,
        ...of_project,
        holder,
        ttl_ms: claimMs(ttl_s),
        from: formatCursor(start),
        limit: LIMITS.subscriptionsPerOrg,
      },
    });
    if (value.type !== "subscription") throw new GranaryError("INTERNAL", `the claim came to ${value.type}`);
    return reply.send({ ...subscriptionJson(value.subscription), held: value.held });
  });

  server.post("/v1/orgs/:org/subscriptions/:group(^[^:]+)::commit", async (request, reply) => {
    const { org, group, principal } = groupOf(context, request);
    await recordOf(context, request);
    const { epoch, cursor, leave, ttl_s } = parseBody(SubscriptionCommitBody, request.body);
    const handled = parseCursor(cursor);
    await refuseFuture(context, handled, "/cursor");
    const value = await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "subscription.commit",
        group,
        epoch,
        cursor: formatCursor(handled),
        ttl_ms: claimMs(ttl_s),
        leave: leave ?? false,
      },
    });
    if (value.type !== "subscription") throw new GranaryError("INTERNAL", `the commit came to ${value.type}`);
    return reply.send({ ...subscriptionJson(value.subscription), held: value.held });
  });

  server.delete("/v1/orgs/:org/subscriptions/:group(^[^:]+)", async (request, reply) => {
    const { org, group, principal } = groupOf(context, request);
    await recordOf(context, request);
    await submitFor(context, request, { principal, org, body: { type: "subscription.remove", group } });
    return reply.code(204).send();
  });
}

/** Waiting makes no room: as a quota it ends a subscriber, which would wait for ever otherwise. @throws GranaryError QUOTA_EXCEEDED */
function refuseOneMore(context: ApiContext, org: Name): void {
  const limit = LIMITS.subscriptionsPerOrg;
  const { length } = context.read((view) => [...view.range(RANGES.subscriptions(org), { limit })]);
  if (length < limit) return;
  throw new GranaryError("QUOTA_EXCEEDED", `${org} has ${limit} groups of subscribers`, {
    limit,
    hint: `Remove some that nobody reads for: DELETE /v1/orgs/${org}/subscriptions/GROUP`,
  });
}

function orgOf(context: ApiContext, request: HttpRequest): { org: Name; principal: Principal } {
  const principal = principalOf(context, request);
  const org = parseName((request.params as { org: string }).org, "org");
  authorize(principal, "read", { org });
  if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
  return { org, principal };
}

function groupOf(
  context: ApiContext,
  request: HttpRequest,
): { org: Name; group: Name; principal: Principal } {
  return {
    ...orgOf(context, request),
    group: parseName((request.params as { group: string }).group, "group"),
  };
}

/** @throws GranaryError NOT_FOUND, also for a group that the token may not see */
async function recordOf(context: ApiContext, request: HttpRequest): Promise<SubscriptionRecord> {
  const { org, group, principal } = groupOf(context, request);
  const look = () => context.read((view) => findSubscription(view, org, group));
  let record = look();
  if (record === undefined) {
    // It may have been made elsewhere a moment ago: its reader must not take it for removed.
    await context.barrier();
    record = look();
  }
  if (record === undefined || !isVisible(principal, record)) throw unknown(org, group);
  return record;
}

/** Where a new group begins. */
async function beginning(
  context: ApiContext,
  from: string | undefined,
  of: { org: Name; project?: Name },
): Promise<Cursor> {
  if (from === "now") return context.read((view) => newestCursor(view, of));
  const start = parseCursor(from === undefined || from === "beginning" ? "0-0" : from);
  await refuseFuture(context, start, "/from");
  return start;
}

function isHeldByOther(context: ApiContext, known: SubscriptionRecord, holder: string): boolean {
  return known.holder !== holder && Date.parse(known.held_until) > context.now();
}

function claimMs(seconds: number | undefined): number {
  return seconds === undefined ? LIMITS.subscriptionClaimMs : Math.round(seconds * 1000);
}

function isVisible(principal: Principal, record: SubscriptionRecord): boolean {
  return principal.project === undefined || principal.project === record.of_project;
}

function unknown(org: Name, group: Name): GranaryError {
  return new GranaryError("NOT_FOUND", `${org} has no subscription ${group}`, {
    hint: "It was removed, or nobody has claimed it yet: `:claim` makes it.",
  });
}

function subscriptionJson({ of_project, ...record }: SubscriptionRecord): SubscriptionJson {
  return { ...record, project: of_project ?? null };
}
