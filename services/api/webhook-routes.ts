import { actorText } from "../../proto/actor-text.ts";
import { GranaryError } from "../../proto/errors.ts";
import { parseCursor } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { WebhookUpdateCommand } from "../../proto/webhook-commands.ts";
import { ReplayBody, WebhookBody, WebhookChangeBody, type WebhookJson } from "../../proto/webhook-http.ts";
import type { WebhookAsk, WebhookRecord } from "../../proto/webhooks.ts";
import type { Principal } from "../shared/authenticate.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import { findOrg, findWebhook, listWebhooks } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import { newWebhookSecret } from "../shared/webhook-secrets.ts";
import { parseWebhookUrl, publicAddresses } from "../shared/webhook-target.ts";
import type { ApiContext } from "./context.ts";
import { listedBy } from "./listed-by.ts";
import { pageOf } from "./read-routes.ts";
import { refuseFuture } from "./refuse-future.ts";
import { chanceFor, madeElsewhere, orgAdmin, parseBody, submitFor } from "./request.ts";

/** Endpoints that events are delivered to. For who may manage an org's keys: they send its events away. */
export function webhookRoutes(server: HttpServer, context: ApiContext): void {
  server.post("/v1/orgs/:org/webhooks", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const body = parseBody(WebhookBody, request.body);
    await checkUrl(context, body.url);
    const project = body.project === undefined ? undefined : parseName(body.project, "project");
    if (context.read((view) => findOrg(view, org)) === undefined)
      await submitFor(context, request, { principal, org, body: { type: "org.create" } });
    const chance = chanceFor(context, request, { principal, org, type: "webhook.create" });
    const id = newId("whk", chance);
    if (context.read((view) => findWebhook(view, org, id)) === undefined) refuseOneMore(context, org);
    const secret = newWebhookSecret(chance.random);
    await submitFor(context, request, {
      principal,
      org,
      body: {
        type: "webhook.create",
        webhook_id: id,
        url: body.url,
        types: body.types ?? [],
        ...(body.format === undefined ? {} : { format: body.format }),
        ...(project === undefined ? {} : { webhook_project: project }),
        sealed_secret: context.webhooks.secrets.seal(secret, { org, id }),
      },
    });
    const record = context.read((view) => findWebhook(view, org, id));
    if (record === undefined) throw madeElsewhere("webhook");
    reply.code(201).header("cache-control", "no-store");
    return reply.send({ ...webhookJson(record), secret });
  });

  server.get("/v1/orgs/:org/webhooks", async (request, reply) => {
    const { org } = orgAdmin(context, request);
    const page = context.read((view) => listWebhooks(view, org, pageOf(request)));
    return reply.send({ ...page, items: page.items.map(webhookJson) });
  });

  server.get("/v1/orgs/:org/webhooks/:id", async (request, reply) => {
    return reply.send(webhookJson(found(context, request).webhook));
  });

  server.patch("/v1/orgs/:org/webhooks/:id", async (request, reply) => {
    const { principal, org, id } = found(context, request);
    const { rotate_secret, url, types, format, enabled } = parseBody(WebhookChangeBody, request.body);
    if (url !== undefined) await checkUrl(context, url);
    const chance = chanceFor(context, request, { principal, org, type: "webhook.update" });
    const secret = rotate_secret === true ? newWebhookSecret(chance.random) : undefined;
    const body: WebhookUpdateCommand = {
      type: "webhook.update",
      webhook_id: id,
      ...(url === undefined ? {} : { url }),
      ...(types === undefined ? {} : { types }),
      ...(format === undefined ? {} : { format }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(secret === undefined ? {} : { sealed_secret: context.webhooks.secrets.seal(secret, { org, id }) }),
    };
    await submitFor(context, request, { principal, org, body });
    reply.header("cache-control", "no-store");
    const json = webhookJson(find(context, { org, id }));
    return reply.send(secret === undefined ? json : { ...json, secret });
  });

  server.delete("/v1/orgs/:org/webhooks/:id", async (request, reply) => {
    const { principal, org } = orgAdmin(context, request);
    const { id } = request.params as { id: string };
    await submitFor(context, request, { principal, org, body: { type: "webhook.remove", webhook_id: id } });
    return reply.code(204).send();
  });

  server.get("/v1/orgs/:org/webhooks/:id/deliveries", async (request, reply) => {
    const { org, id } = found(context, request);
    return reply.send({ items: await context.webhooks.deliveries(org, id), next_cursor: null });
  });

  server.post("/v1/orgs/:org/webhooks/:id(^[^:]+)::test", async (request, reply) => {
    await ask(context, request, { kind: "ping" });
    return reply.code(202).send({ asked: "ping" });
  });

  server.post("/v1/orgs/:org/webhooks/:id(^[^:]+)::replay", async (request, reply) => {
    const { webhook } = found(context, request);
    const body = parseBody(ReplayBody, request.body);
    if ("event" in body) refuseUnknownEvent(context, webhook, body.event);
    else await refuseFuture(context, parseCursor(body.from), "/from");
    await ask(
      context,
      request,
      "event" in body ? { kind: "event", cursor: body.event } : { kind: "from", cursor: body.from },
    );
    return reply.code(202).send(body);
  });
}

/** As the command would, and with what to do. @throws GranaryError QUOTA_EXCEEDED */
function refuseOneMore(context: ApiContext, org: Name): void {
  const limit = LIMITS.webhooksPerOrg;
  const { length } = context.read((view) => [...view.range(RANGES.webhooks(org), { limit })]);
  if (length < limit) return;
  throw new GranaryError("QUOTA_EXCEEDED", `${org} has ${limit} webhooks`, {
    limit,
    hint: "Remove one that is not needed any more: `granary webhook ls`, `granary webhook rm ID`.",
  });
}

/** The host is resolved here too: a typo or an inner address is refused before anyone waits for a delivery. */
async function checkUrl(context: ApiContext, text: string): Promise<void> {
  const { target } = context.webhooks;
  await publicAddresses(parseWebhookUrl(text, target), target);
}

function found(
  context: ApiContext,
  request: HttpRequest,
): { principal: Principal; org: Name; id: string; webhook: WebhookRecord } {
  const { principal, org } = orgAdmin(context, request);
  const { id } = request.params as { id: string };
  return { principal, org, id, webhook: find(context, { org, id }) };
}

function find(context: ApiContext, { org, id }: { org: Name; id: string }): WebhookRecord {
  const webhook = context.read((view) => findWebhook(view, org, id));
  if (webhook === undefined)
    throw new GranaryError("NOT_FOUND", `there is no webhook ${id}`, listedBy("webhook ls", { org }));
  return webhook;
}

async function ask(context: ApiContext, request: HttpRequest, what: WebhookAsk): Promise<void> {
  const { principal, org, id } = found(context, request);
  const body = { type: "webhook.ask", webhook_id: id, ask: what } as const;
  await submitFor(context, request, { principal, org, body });
}

/** An event of another org, or of another project than the webhook's, answers like none. */
function refuseUnknownEvent(context: ApiContext, webhook: WebhookRecord, cursor: string): void {
  const event = context.read((view) => view.get(KEYS.event(parseCursor(cursor))));
  const own =
    event?.org === webhook.org && (webhook.project === undefined || webhook.project === event.project);
  if (!own) throw new GranaryError("NOT_FOUND", `there is no event ${cursor}`);
}

function webhookJson(record: WebhookRecord): WebhookJson {
  return {
    id: record.id,
    org: record.org,
    project: record.project ?? null,
    url: record.url,
    types: record.types,
    format: record.format ?? "granary",
    enabled: record.enabled,
    disabled_reason: record.disabled_reason ?? null,
    created_at: record.created_at,
    created_by: actorText(record.created_by),
  };
}
