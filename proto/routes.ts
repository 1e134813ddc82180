import { z } from "zod";
import {
  ActivationBody,
  CancelBody,
  CommitUploadBody,
  ExtendBody,
  HoldBody,
  PromoteBody,
  RetireBody,
  RollbackBody,
  SessionBody,
  SettingsBody,
} from "./http.ts";
import { LIMITS } from "./limits.ts";
import { FORMAT, flag, PAGE, text, whole } from "./route-parameters.ts";
import { type RouteSpec, route } from "./route-spec.ts";
import { FARM_ROUTES } from "./routes-of-farm.ts";
import { ORG_ROUTES } from "./routes-of-orgs.ts";

const P = "/v1/orgs/{org}/projects/{project}";
const KEY = {
  "Idempotency-Key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/)
    .describe("One effect, and one answer, for 7 days."),
};
const IF_MATCH = {
  "If-Match": z
    .string()
    .regex(/^"[0-9]{1,15}"$/)
    .describe("The generation that was seen."),
};
const WAIT = { wait: whole(0, LIMITS.waitMs / 1000, "Seconds to wait for a change.") };
const PREFER = { Prefer: text("`wait=SECONDS`: answer when the publish has ended.") };
const OFFSET = { offset: z.int().nonnegative().describe("Where the stream goes on.") };

const PROJECT_ROUTES: readonly RouteSpec[] = [
  route(
    "GET /v1/orgs/{org}/projects",
    "Projects by name",
    ["read"],
    { 200: { page: "Project" } },
    { parameters: PAGE },
  ),
  route(`GET ${P}`, "A project", ["read"], { 200: "Project" }),
  route(
    `PUT ${P}/settings`,
    "Change settings of a project",
    ["token:admin"],
    { 200: "Project" },
    { body: SettingsBody },
  ),
  route(
    `GET ${P}/publishes`,
    "Publishes, newest first",
    ["read"],
    { 200: { page: "Publish" } },
    { parameters: PAGE },
  ),
  route(
    `POST ${P}/publishes`,
    "Publish an archive (scope `preview` with `?preview=`, else `publish`)",
    ["publish", "preview"],
    { 200: "Publish", 201: "Publish", 202: "Publish" },
    {
      parameters: {
        commit: z
          .string()
          .regex(/^[0-9A-Za-z][0-9A-Za-z._-]*$/)
          .max(LIMITS.commitBytes),
        source: z.string().max(LIMITS.sourceBytes),
        dirty: flag("The working tree had changes."),
        activate: flag("Go live when ready; true unless given."),
        force_new: flag("A new version even of content that is released already."),
        strip: whole(0, 64, "Leading path segments to remove."),
        preview: text("Publish to this preview."),
        ttl: text("How long the preview lives after this, such as `72h`."),
        ...KEY,
        "Content-Digest": text("`sha-256=:BASE64:` of the body."),
        ...PREFER,
      },
      body: { media: "application/gzip", description: "A .tar.gz." },
      errors: [
        "COMMIT_REQUIRED",
        "DIGEST_INVALID",
        "QUOTA_EXCEEDED",
        "ARCHIVE_UPLOAD_TOO_LARGE",
        "ARCHIVE_NOT_GZIP",
        "ARCHIVE_BAD_HEADER",
        "IDEMPOTENCY_KEY_REUSED",
        "RATE_LIMITED",
        "CANCELLED",
        "UNAVAILABLE",
        "OUTCOME_UNKNOWN",
        "STORE_FULL",
      ],
    },
  ),
  route(
    `POST ${P}/publishes:plan`,
    "Ask what of a listing has to be sent",
    ["publish", "preview"],
    { 200: "Plan" },
    {
      parameters: {
        dry_run: flag("Keep nothing, open no session."),
        if_changed: flag("Open no session where what is live is the same image."),
      },
      body: { media: "application/octet-stream", description: "gzip of the canonical bytes of the tree." },
      errors: ["LISTING_INVALID", "QUOTA_EXCEEDED", "BODY_TOO_LARGE", "RATE_LIMITED", "UNAVAILABLE"],
    },
  ),
  route(
    `PUT ${P}/uploads/{session}`,
    "Send missing contents",
    ["publish", "preview"],
    { 200: "Upload" },
    {
      parameters: OFFSET,
      body: { media: "application/octet-stream", description: "The missing contents, one after the other." },
      errors: ["SESSION_UNKNOWN", "UPLOAD_OFFSET", "BODY_TOO_LARGE", "RATE_LIMITED", "UNAVAILABLE"],
    },
  ),
  route(`GET ${P}/uploads/{session}`, "Where to go on", ["publish", "preview"], { 200: "Upload" }),
  route(`HEAD ${P}/uploads/{session}`, "Where to go on, as `Upload-Offset`", ["publish", "preview"], {
    200: null,
  }),
  route(
    `POST ${P}/uploads/{session}:commit`,
    "Publish what was listed and sent",
    ["publish", "preview"],
    { 200: "Publish", 201: "Publish", 202: "Publish" },
    {
      parameters: { ...KEY, ...PREFER },
      body: CommitUploadBody,
      errors: [
        "UPLOAD_OFFSET",
        "CONTENT_GONE",
        "IDEMPOTENCY_KEY_REUSED",
        "QUOTA_EXCEEDED",
        "RATE_LIMITED",
        "UNAVAILABLE",
      ],
    },
  ),
  route("GET /v1/publishes/{id}", "A publish", ["read", "publish"], { 200: "Publish" }, { parameters: WAIT }),
  route(
    "GET /v1/publishes/{id}/events",
    "Events of a publish until it has ended",
    ["read", "publish"],
    { 200: { media: "text/event-stream", description: "A CloudEvent in the data of each." } },
    { parameters: { ...FORMAT, "Last-Event-ID": text("The cursor of the newest event that is known.") } },
  ),
  route("GET /v1/publishes/{id}/why", "Why a publish waits or how it ended", ["read", "publish"], {
    200: "Why",
  }),
  route(
    "GET /v1/publishes/{id}/logs",
    "The log of a publish; as text/event-stream until it has ended",
    ["read", "publish"],
    { 200: { page: "LogLine" } },
    { parameters: { ...PAGE, "Last-Event-ID": text("The cursor of the newest line that is known.") } },
  ),
  route(
    "POST /v1/publishes/{id}:cancel",
    "Cancel a publish",
    ["publish"],
    { 200: "Publish" },
    { parameters: KEY, body: CancelBody, errors: ["STATE_CONFLICT"] },
  ),
  route(
    `GET ${P}/releases`,
    "Releases, newest first",
    ["read"],
    { 200: { page: "Release" } },
    { parameters: PAGE },
  ),
  route(
    `GET ${P}/releases/{ref}`,
    "A release: `v3`, `current`, a commit, `preview%2FNAME`",
    ["read"],
    { 200: "Release" },
    {
      errors: ["NOTHING_ACTIVE"],
    },
  ),
  route(
    `GET ${P}/releases/{ref}/files`,
    "Files of a release, by path",
    ["read"],
    { 200: { page: "File" } },
    {
      parameters: { ...PAGE, limit: whole(1, LIMITS.fileItems, "Rows of the page; 1000 unless given.") },
      errors: ["RELEASE_RETIRED"],
    },
  ),
  route(
    `GET ${P}/releases/{ref}/why`,
    "Why a release is live or not, and what keeps it",
    ["read"],
    { 200: "Why" },
    { errors: ["NOTHING_ACTIVE"] },
  ),
  route(
    `POST ${P}/releases/{version}:retire`,
    "End a release",
    ["token:admin"],
    { 200: "Release" },
    { parameters: KEY, body: RetireBody, errors: ["RELEASE_IN_USE"] },
  ),
  route(
    `POST ${P}/releases/{ref}:materialize`,
    "A release as a folder on the farm's disk",
    ["farm:admin"],
    { 200: "Materialized" },
    {
      errors: ["RELEASE_RETIRED"],
    },
  ),
  route(
    `GET ${P}/diff`,
    "Two releases at file level",
    ["read"],
    { 200: "Diff" },
    {
      parameters: {
        from: text("`v1`, `preview/NAME`; required."),
        to: text("`current` unless given."),
        ...PAGE,
        limit: whole(1, LIMITS.fileItems, "Rows of the page; 1000 unless given."),
      },
      errors: ["RELEASE_RETIRED"],
    },
  ),
  route(
    `GET ${P}/current`,
    "What is live; the ETag is the generation",
    ["read"],
    { 200: "Current", 304: null },
    {
      parameters: { ...WAIT, "If-None-Match": text("The generation that is known.") },
      errors: ["NOTHING_ACTIVE"],
    },
  ),
  route(
    `GET ${P}/at`,
    "What was live at a time",
    ["read"],
    { 200: "LiveAt" },
    {
      parameters: { time: z.iso.datetime({ offset: true }).describe("RFC 3339; required.") },
      errors: ["NOTHING_ACTIVE"],
    },
  ),
  route(
    `POST ${P}/activations`,
    "Make a release live",
    ["activate"],
    { 200: "PointerChange" },
    {
      parameters: { ...KEY, ...IF_MATCH },
      body: ActivationBody,
      errors: ["GENERATION_STALE", "RELEASE_RETIRED", "OUTCOME_UNKNOWN"],
    },
  ),
  route(
    `POST ${P}/rollbacks`,
    "Go back, and hold",
    ["rollback"],
    { 200: "PointerChange" },
    {
      parameters: { ...KEY, ...IF_MATCH },
      body: RollbackBody,
      errors: ["GENERATION_STALE", "NO_ROLLBACK_TARGET", "OUTCOME_UNKNOWN"],
    },
  ),
  route(
    `POST ${P}/holds`,
    "Hold a project",
    ["hold"],
    { 200: "Project" },
    { parameters: KEY, body: HoldBody },
  ),
  route(
    `DELETE ${P}/holds`,
    "Release the hold of a project",
    ["hold"],
    { 200: "Project" },
    { parameters: KEY },
  ),
  route(
    `GET ${P}/previews`,
    "Previews by name",
    ["read"],
    { 200: { page: "Preview" } },
    { parameters: { ...PAGE, all: flag("With those that have ended.") } },
  ),
  route(`GET ${P}/previews/{name}`, "A preview", ["read"], { 200: "Preview" }),
  route(`DELETE ${P}/previews/{name}`, "Remove a preview", ["preview"], { 204: null }, { body: CancelBody }),
  route(`POST ${P}/previews/{name}:pin`, "Keep a preview without an end", ["preview"], { 200: "Preview" }),
  route(
    `POST ${P}/previews/{name}:extend`,
    "Give a preview more time",
    ["preview"],
    { 200: "Preview" },
    { body: ExtendBody },
  ),
  route(
    `POST ${P}/previews/{name}:promote`,
    "Make a preview's image the next release",
    ["activate"],
    { 200: "Release", 201: "Release" },
    {
      parameters: { ...KEY, ...IF_MATCH },
      body: PromoteBody,
      errors: ["STATE_CONFLICT", "GENERATION_STALE"],
    },
  ),
  route(
    `GET ${P}/sessions`,
    "Application sessions by id",
    ["read"],
    { 200: { page: "Session" } },
    { parameters: PAGE },
  ),
  route(
    `PUT ${P}/sessions/{id}`,
    "Pin an application session to what is live",
    ["read"],
    { 200: "Session", 201: "Session" },
    { body: SessionBody, errors: ["NOTHING_ACTIVE", "RATE_LIMITED"] },
  ),
  route(`GET ${P}/sessions/{id}`, "An application session", ["read"], { 200: "Session" }),
  route(`DELETE ${P}/sessions/{id}`, "End an application session", ["read"], { 204: null }),
];

/** Every route of the farm. */
export const ROUTES: readonly RouteSpec[] = [...PROJECT_ROUTES, ...ORG_ROUTES, ...FARM_ROUTES];
