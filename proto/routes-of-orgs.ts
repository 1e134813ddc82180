import { z } from "zod";
import { HoldBody, TokenBody } from "./http.ts";
import { OrgBody, OrgSettingsBody } from "./http-org.ts";
import { IdTokenBody, TrustBody } from "./http-trust.ts";
import { FORMAT, flag, PAGE, text } from "./route-parameters.ts";
import { type RouteSpec, route } from "./route-spec.ts";
import { SubscriptionClaimBody, SubscriptionCommitBody } from "./subscription-http.ts";
import { ReplayBody, WebhookBody, WebhookChangeBody } from "./webhook-http.ts";

const ORG = { org: text("The token's own unless given."), project: text("Only this project's.") };
const CURSOR = z.string().regex(/^[0-9]{1,15}-[0-9]{1,6}$/);
const W = "/v1/orgs/{org}/webhooks";
const S = "/v1/orgs/{org}/subscriptions";

/** Orgs: events, access, webhooks. */
export const ORG_ROUTES: readonly RouteSpec[] = [
  route(
    "GET /v1/events",
    "Events behind a cursor; `Accept: text/event-stream` follows",
    ["read"],
    { 200: { page: "Event" } },
    {
      parameters: {
        ...PAGE,
        ...ORG,
        cursor: CURSOR.describe("The events strictly behind it come next."),
        ...FORMAT,
        follow: flag("As a stream: false ends at the head."),
        "Last-Event-ID": CURSOR.describe("As `cursor`, of a stream that broke."),
      },
      errors: ["CURSOR_EXPIRED"],
    },
  ),
  route(
    "GET /v1/events/snapshot",
    "What is live, and where events go on",
    ["read"],
    { 200: "EventSnapshot" },
    {
      parameters: { ...PAGE, ...ORG },
    },
  ),
  route("GET /v1/orgs/{org}/bus", "Where events are heard on the bus", ["read"], { 200: "Bus" }),
  route(
    "GET /v1/orgs/{org}/audit",
    "Commands, newest first",
    ["read"],
    { 200: { page: "Audit" } },
    {
      parameters: { ...PAGE, project: ORG.project },
    },
  ),
  route(
    `GET ${S}`,
    "Groups of subscribers",
    ["read"],
    { 200: { page: "Subscription" } },
    { parameters: PAGE },
  ),
  route(`GET ${S}/{group}`, "A group of subscribers", ["read"], { 200: "Subscription" }),
  route(`DELETE ${S}/{group}`, "Remove a group of subscribers", ["read"], { 204: null }),
  route(
    `POST ${S}/{group}:claim`,
    "Read for a group, for a while",
    ["read"],
    { 200: "Subscription" },
    {
      body: SubscriptionClaimBody,
      errors: ["RATE_LIMITED"],
    },
  ),
  route(
    `POST ${S}/{group}:commit`,
    "Move the cursor of a group",
    ["read"],
    { 200: "Subscription" },
    {
      body: SubscriptionCommitBody,
      errors: ["STATE_CONFLICT"],
    },
  ),
  route("GET /v1/orgs/{org}/holds", "The hold of an org", ["read"], { 200: "Hold" }),
  route(
    "POST /v1/orgs/{org}/holds",
    "Hold all projects of an org",
    ["hold"],
    { 200: "Hold" },
    { body: HoldBody },
  ),
  route("DELETE /v1/orgs/{org}/holds", "Release the hold of an org", ["hold"], { 200: "Hold" }),
  route("GET /v1/whoami", "The token that asks", "token", { 200: "Whoami" }),
  route(
    "GET /v1/orgs/{org}/tokens",
    "Tokens",
    ["token:admin"],
    { 200: { page: "Token" } },
    { parameters: PAGE },
  ),
  route(
    "POST /v1/orgs/{org}/tokens",
    "Make a token",
    ["token:admin"],
    { 201: "NewToken" },
    { body: TokenBody },
  ),
  route("DELETE /v1/orgs/{org}/tokens/{id}", "Revoke a token", ["token:admin"], { 204: null }),
  route("GET /v1/orgs", "Orgs by name", ["farm:admin"], { 200: { page: "Org" } }, { parameters: PAGE }),
  route("POST /v1/orgs", "Make an org", ["farm:admin"], { 200: "Org", 201: "Org" }, { body: OrgBody }),
  route(
    "PUT /v1/orgs/{org}/settings",
    "Change settings of an org",
    ["farm:admin"],
    { 200: "Org" },
    {
      body: OrgSettingsBody,
    },
  ),
  route(
    "DELETE /v1/orgs/{org}",
    "Remove an org",
    ["farm:admin"],
    { 204: null },
    { errors: ["STATE_CONFLICT"] },
  ),
  route(
    "GET /v1/orgs/{org}/trusts",
    "Trusts, oldest first",
    ["token:admin"],
    { 200: { page: "Trust" } },
    {
      parameters: PAGE,
    },
  ),
  route(
    "POST /v1/orgs/{org}/trusts",
    "Trust CI jobs",
    ["token:admin"],
    { 201: "Trust" },
    { body: TrustBody },
  ),
  route("DELETE /v1/orgs/{org}/trusts/{id}", "End a trust and its tokens", ["token:admin"], { 204: null }),
  route(
    "POST /v1/oidc/token",
    "A CI job's id token for a token of 10 minutes",
    "public",
    { 200: "NewToken" },
    {
      body: IdTokenBody,
      errors: ["ID_TOKEN_REFUSED", "RATE_LIMITED"],
    },
  ),
  route(`GET ${W}`, "Webhooks", ["token:admin"], { 200: { page: "Webhook" } }, { parameters: PAGE }),
  route(
    `POST ${W}`,
    "Add a webhook",
    ["token:admin"],
    { 201: "NewWebhook" },
    {
      body: WebhookBody,
      errors: ["WEBHOOK_URL_REFUSED", "RATE_LIMITED"],
    },
  ),
  route(`GET ${W}/{id}`, "A webhook", ["token:admin"], { 200: "Webhook" }),
  route(
    `PATCH ${W}/{id}`,
    "Change a webhook",
    ["token:admin"],
    { 200: "NewWebhook" },
    {
      body: WebhookChangeBody,
      errors: ["WEBHOOK_URL_REFUSED"],
    },
  ),
  route(`DELETE ${W}/{id}`, "Remove a webhook", ["token:admin"], { 204: null }),
  route(`GET ${W}/{id}/deliveries`, "Attempts, newest first", ["token:admin"], { 200: { page: "Delivery" } }),
  route(`POST ${W}/{id}:test`, "Send a ping", ["token:admin"], { 202: "WebhookAsk" }),
  route(
    `POST ${W}/{id}:replay`,
    "Deliver again",
    ["token:admin"],
    { 202: "WebhookAsk" },
    { body: ReplayBody },
  ),
];
