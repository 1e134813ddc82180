import { BackupBody, HoldBody, NodeBody } from "./http.ts";
import { flag, PAGE, text, whole } from "./route-parameters.ts";
import { type RouteSpec, route } from "./route-spec.ts";

const REPOSITORY = "/v2/{org}/{project}";
const PAGE_OF_HTML = { media: "text/html", description: "A page." };
const BYTES = { media: "application/octet-stream", description: "The bytes; single ranges are answered." };
const MANIFEST = {
  media: "application/vnd.oci.image.manifest.v1+json",
  description: "An OCI image manifest.",
};

/** What operators look at, the probes, and the registry. */
export const FARM_ROUTES: readonly RouteSpec[] = [
  route("GET /v1/limits", "Every bound of the farm", "token", { 200: "Limits" }),
  route("GET /v1/holds", "The hold of the farm", ["farm:read"], { 200: "Hold" }),
  route("POST /v1/holds", "Hold every project", ["farm:admin"], { 200: "Hold" }, { body: HoldBody }),
  route("DELETE /v1/holds", "Release the hold of the farm", ["farm:admin"], { 200: "Hold" }),
  route("GET /v1/nodes", "Nodes", ["farm:read"], { 200: { page: "Node" } }),
  route(
    "PUT /v1/nodes/{node}",
    "Scale or cordon a node",
    ["farm:admin"],
    { 200: "Node" },
    { body: NodeBody },
  ),
  route("GET /v1/queue", "Publishes that have not ended", ["farm:read"], { 200: "Queue" }),
  route("GET /v1/store", "What the store holds", ["farm:read"], { 200: "Store" }),
  route(
    "POST /v1/store:gc",
    "Collect garbage",
    ["farm:admin"],
    { 200: "Collection" },
    {
      parameters: {
        dry_run: flag("Delete nothing."),
        grace: text("Leave what has been without a reference for less, such as `24h`."),
      },
      errors: ["STATE_CONFLICT", "UNAVAILABLE"],
    },
  ),
  route("GET /v1/store/why/{digest}", "What keeps a digest", ["farm:read"], { 200: "StoreWhy" }),
  route(
    "POST /v1/store:fsck",
    "Verify stored content",
    ["farm:admin"],
    { 200: "Check" },
    {
      parameters: {
        part: whole(1, 9_999, "Which part."),
        of: whole(1, 9_999, "Of how many."),
        repair: flag("Whether what is found is repaired, as far as that is safe beside publishes."),
      },
    },
  ),
  route(
    "POST /v1/store:heal",
    "What releases need and the store lacks",
    ["farm:admin"],
    { 200: "Lost" },
    { errors: ["STATE_CONFLICT"] },
  ),
  route(
    "GET /v1/store/blobs/{digest}",
    "The bytes of a blob",
    ["farm:admin"],
    { 200: { media: "application/octet-stream", description: "The blob, verified." } },
    { errors: ["BLOB_UNKNOWN", "STORE_CORRUPT"] },
  ),
  route(
    "PUT /v1/store/blobs/{digest}",
    "Give content that was lost",
    ["farm:admin"],
    { 200: "StoreBlob", 201: "StoreBlob" },
    {
      body: { media: "application/octet-stream", description: "The bytes of the digest." },
      errors: ["STATE_CONFLICT", "DIGEST_INVALID", "BODY_TOO_LARGE", "UNAVAILABLE"],
    },
  ),
  route("GET /v1/pointer", "This process's copy of the state", ["farm:read"], { 200: "Pointer" }),
  route(
    "POST /v1/farm:backup",
    "Begin a backup",
    ["farm:admin"],
    { 202: "Backup" },
    {
      body: BackupBody,
      errors: ["STATE_CONFLICT"],
    },
  ),
  route(
    "GET /v1/farm/backup",
    "The last backup",
    ["farm:read"],
    { 200: "Backup" },
    { errors: ["NOT_FOUND"] },
  ),
  route("GET /metrics", "What to watch, as Prometheus text", ["farm:read"], {
    200: { media: "text/plain", description: "Prometheus text." },
  }),
  ...["GET", "HEAD"].flatMap((method) => [
    route(`${method} /livez`, "The process answers", "public", { 200: method === "HEAD" ? null : "Live" }),
    route(`${method} /readyz`, "Publishes are taken", "public", {
      200: method === "HEAD" ? null : "Ready",
      503: method === "HEAD" ? null : "Ready",
    }),
    route(`${method} /version`, "Versions", "public", { 200: method === "HEAD" ? null : "Version" }),
  ]),
  route("GET /openapi.json", "This document", "public", { 200: "OpenApi" }),
  route(
    "GET /",
    "The console, for browsers; JSON that says where to go on, for others",
    "public",
    { 200: "Root" },
    {
      parameters: {
        ...PAGE,
        org: text("Projects of this org; the token's when absent."),
        from: text("Projects from this name on, or from how one begins."),
      },
    },
  ),
  route("HEAD /", "Whether a farm answers here", "public", { 200: null }),
  route(
    "GET /console/{org}/{project}",
    "A page about a project",
    ["read"],
    { 200: PAGE_OF_HTML },
    { parameters: PAGE },
  ),
  route("GET /console/events", "What makes a page look again", ["read"], {
    200: { media: "text/event-stream", description: "As `GET /v1/events` follows." },
  }),
  route(
    "POST /console/sign-in",
    "A token becomes a cookie",
    "public",
    { 303: null, 401: PAGE_OF_HTML },
    {
      body: { media: "application/x-www-form-urlencoded", description: "`token`." },
      errors: ["FORBIDDEN"],
    },
  ),
  route("POST /console/sign-out", "The cookie goes", "public", { 303: null }, { errors: ["FORBIDDEN"] }),
  route("GET /v2", "To the registry", "public", { 301: null }),
  route("GET /v2/", "Whether the registry is one, and the token good", "token", { 200: "Registry" }),
  ...["GET", "HEAD"].flatMap((method) => [
    route(`${method} ${REPOSITORY}/manifests/{reference}`, "A manifest by tag or digest", ["read"], {
      200: method === "HEAD" ? null : MANIFEST,
    }),
    route(`${method} ${REPOSITORY}/blobs/{digest}`, "A layer or a config", ["read"], {
      200: method === "HEAD" ? null : BYTES,
      206: method === "HEAD" ? null : BYTES,
    }),
  ]),
  route(
    `GET ${REPOSITORY}/tags/list`,
    "Tags",
    ["read"],
    { 200: "Registry" },
    {
      parameters: { n: whole(1, 1_000, "Rows."), last: text("Tags behind this one.") },
    },
  ),
];
