import { z } from "zod";
import { EVENT_FORMATS } from "./cd-events.ts";
import { SCOPES } from "./records.ts";

/**
 * What answers look like, for `/openapi.json`: the members that clients may rely on. Answers may have more, and may get more
 * later. A test holds them against the answers of a real farm.
 */
const text = z.string();
const int = z.int().nonnegative();
const time = z.iso.datetime().describe("RFC 3339, UTC");
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const version = z.string().regex(/^v[1-9][0-9]*$/);
const kind = z.enum(["dockerfile", "buildpack", "file_copy"]);
const held = z
  .looseObject({ level: z.enum(["project", "org", "farm"]), reason: text, since: time })
  .nullable();
const where = { org: text, project: text };

const artifact = {
  ...where,
  publish_id: text,
  channel: text,
  commit: text.nullable(),
  tree: digest,
  image_digest: digest,
  image_ref: text,
  build_kind: kind,
  build_reason: text,
  execution: kind,
  size_bytes: int,
  file_count: int,
  warnings: z.array(text),
  created_at: time,
  created_by: text,
  url: text,
  stats: z.looseObject({ uploaded_bytes: int, new_blob_bytes: int, reused_blob_bytes: int }),
};
const release = {
  ...artifact,
  version,
  state: z.enum(["ready", "active", "superseded", "retired"]),
  activated: z.boolean(),
  source: text.optional(),
  dirty: z.boolean().optional(),
  existing: z.boolean().optional(),
  not_activated_reason: text.optional(),
  activated_at: time.optional(),
  activated_by: text.optional(),
};
const current = { ...release, generation: int, held, event_seq: text };
const token = {
  id: text,
  org: text,
  project: text.optional(),
  scopes: z.array(z.enum(SCOPES)),
  created_at: time,
  expires_at: time.nullable(),
  revoked_at: time.nullable(),
};
const webhook = {
  id: text,
  org: text,
  project: text.nullable(),
  url: text,
  types: z.array(text),
  format: z.enum(EVENT_FORMATS),
  enabled: z.boolean(),
  disabled_reason: text.nullable(),
  created_at: time,
  created_by: text,
};
const snapshot = {
  cursor: text,
  projects: z.array(
    z.looseObject({ project: text, current: version.nullable(), generation: int, event_n: int }),
  ),
  next_cursor: text.nullable(),
};

const shape = (description: string, members: z.ZodRawShape): z.ZodType =>
  z.looseObject(members).describe(description);

export const ANSWER_SHAPES = {
  Project: shape("A project and its pointer.", {
    ...where,
    current: version.nullable(),
    generation: int,
    last_version: version.nullable(),
    held,
    settings: z.looseObject({}),
    created_at: time,
  }),
  Release: shape("An immutable release.", release),
  Current: shape(
    "The release that is live, with the pointer; `event_seq` is the cursor that it reflects.",
    current,
  ),
  PointerChange: shape("The pointer after a change, and what changed.", {
    ...current,
    changed: z.boolean(),
    from: version.nullable(),
    to: version,
    cause: text,
  }),
  LiveAt: shape("The release that was live at a time, and the activation that was in force.", {
    ...release,
    time,
    generation: int,
    cause: text,
    live_from: time,
    live_by: text,
    live_until: time.nullable(),
  }),
  Publish: shape("A publish; `release` or `error` once it has ended.", {
    ...where,
    publish_id: text,
    state: z.enum(["queued", "ingesting", "building", "ready", "failed", "cancelled", "overtaken"]),
    channel: text,
    order: int,
    commit: text.nullable(),
    created_at: time,
    created_by: text,
    url: text,
    version: version.optional(),
    release: z.looseObject({ version }).optional(),
    held: held.optional(),
    error: z.looseObject({ code: text, message: text, hint: text }).optional(),
  }),
  Why: shape("Why a publish, a release or a preview is as it is; the most important reason first.", {
    about: z.enum(["publish", "release", "preview"]),
    ...where,
    publish_id: text,
    version: version.optional(),
    preview: text.optional(),
    state: text,
    reasons: z.array(z.looseObject({ code: text, text, detail: z.looseObject({}) })).min(1),
    next: text.nullable(),
  }),
  Plan: shape("What of a listing has to be sent: ranges `[first, count]` of its distinct contents.", {
    tree: digest,
    missing: z.array(z.array(int)),
    missing_blobs: int,
    missing_bytes: int,
    session: text.optional(),
    expires_at: time.optional(),
    existing: version.optional(),
  }),
  Upload: shape("An upload session; the stream goes on at `offset`.", {
    session: text,
    offset: int,
    size: int,
    expires_at: time,
  }),
  Preview: shape("An artifact under a name, for a while.", {
    ...artifact,
    name: text,
    state: text,
    ttl_s: int,
    expires_at: time.nullable(),
    pinned: z.boolean(),
  }),
  Session: shape("An application session and the release that it runs.", {
    ...where,
    id: text,
    version,
    image_digest: digest,
    image_ref: text,
    generation: int,
    created_at: time,
    expires_at: time,
  }),
  File: shape("An entry of a release's tree.", {
    path: text,
    type: z.enum(["file", "symlink", "directory"]),
    size: int.optional(),
    digest: digest.optional(),
    executable: z.boolean().optional(),
    target: text.optional(),
  }),
  Diff: shape("Two releases at file level; pairs are [from, to].", {
    from: text,
    to: text,
    same_image: z.boolean(),
    layers: z.looseObject({ kept: int, added: int, removed: int }),
    counts: z.record(text, int),
    items: z.array(z.looseObject({ path: text, change: text })),
    truncated: z.boolean(),
    next_cursor: text.nullable(),
  }),
  Materialized: shape("A release as a folder on the farm's disk.", {
    ...where,
    tree: digest,
    path: text,
    existing: z.boolean(),
    files: int,
    linked: int,
    written: int,
  }),
  Hold: shape("What keeps publishes of an org, or of the farm, from going live.", {
    org: text.optional(),
    held,
  }),
  Org: shape("An org.", { org: text, settings: z.looseObject({}), created_at: time, created_by: text }),
  Token: shape("A token, without its text.", token),
  NewToken: shape("A token, with its text, which is shown once.", { ...token, token: text }),
  Whoami: shape("The token that asks.", {
    token_id: text,
    org: text,
    project: text.optional(),
    scopes: z.array(z.enum(SCOPES)),
    expires_at: time.nullable(),
  }),
  Bus: shape("Where the token that asks hears events on the bus.", {
    url: text,
    subject: text,
    queue: text,
    cursor: text,
  }),
  LogLine: shape("A line of a publish's log.", {
    cursor: text,
    at: time,
    level: z.enum(["info", "warn", "error"]),
    text,
  }),
  Audit: shape("A command that was carried out or refused.", {
    seq: int,
    at: time,
    org: text,
    project: text.optional(),
    action: text,
    resource: text,
    actor: text,
    ok: z.boolean(),
    code: text.optional(),
  }),
  Event: shape("A CloudEvents 1.0 event.", {
    specversion: z.literal("1.0"),
    id: text,
    source: text,
    type: text,
    subject: text,
    time,
    sequence: text,
    granarycursor: text,
    data: z.looseObject({}),
  }),
  EventSnapshot: shape("What is live, and the cursor behind which everything else happens.", snapshot),
  Subscription: shape("A group of subscribers and its cursor.", {
    org: text,
    group: text,
    project: text.nullable(),
    cursor: text,
    epoch: int,
    held: z.boolean().optional(),
  }),
  Trust: shape("Whose CI jobs get tokens.", {
    id: text,
    org: text,
    provider: text,
    issuer: text,
    audience: text,
    claims: z.record(text, z.array(text)),
    scopes: z.array(z.enum(SCOPES)),
  }),
  Webhook: shape("An endpoint that events are delivered to.", webhook),
  NewWebhook: shape("A webhook; `secret` only where one was made, shown once.", {
    ...webhook,
    secret: text.optional(),
  }),
  Delivery: shape("One attempt to deliver an event.", {
    id: text,
    type: text,
    cursor: text.nullable(),
    at: time,
    attempt: int,
    result: text,
    status: int.nullable(),
    error: text.nullable(),
    next_attempt_at: time.nullable(),
  }),
  WebhookAsk: shape("What the webhook was asked for.", {}),
  Limits: shape("Every bound of the farm, units last in the name.", { archive: z.record(text, int) }),
  Node: shape("A node and its worker threads.", {
    node: text,
    state: z.enum(["ready", "draining", "cordoned", "down"]),
    labels: z.record(text, text),
    threads: int,
    threads_busy: int,
    jobs: int,
    disk: z.looseObject({ path: text, free_bytes: int, total_bytes: int }),
    last_seen: time,
    version: text,
  }),
  Queue: shape("Publishes that have not ended, by org.", {
    lanes: z.array(z.looseObject({ lane: text, org: text, queued: int, running: int })),
  }),
  Store: shape("What the store holds.", {
    blobs: int,
    layers: int,
    packed_bytes: int,
    segments: int,
    disk_bytes: int,
    budget_bytes: int.nullable(),
    scrub: z.looseObject({ state: z.enum(["off", "waiting", "running"]), rate_bytes: int.nullable() }),
  }),
  StoreWhy: shape("What keeps a digest.", {
    digest,
    stored: z.looseObject({ kind: text, size: int }).nullable(),
    condemned: z.looseObject({ at: text, undo_until: text }).optional(),
    damaged: z.literal(true).optional(),
    references: z.array(z.looseObject({ org: text, project: text, ref: text, as: text })),
    truncated: z.boolean(),
  }),
  Collection: shape("A collection of garbage.", {
    blobs: int,
    segments: int,
    waiting_blobs: int,
    duration_ms: int,
  }),
  Check: shape("A check of the store: all numbers but the first are zero when all is well.", {
    checked: int,
    corrupt: int,
    missing: int,
    misframed: int,
    broken_rows: int,
    broken_segments: int,
    orphaned: int,
  }),
  Pointer: shape("This process's copy of the state.", {
    up: z.boolean(),
    applied_seq: int,
    state_version: int,
    snapshots: z.array(int),
  }),
  Backup: shape("The last backup since the farm started.", {
    dir: text,
    state: z.enum(["running", "done", "failed"]),
  }),
  Live: shape("The process answers.", { ok: z.literal(true) }),
  Ready: shape("Whether publishes are taken, and what is away.", {
    ready: z.boolean(),
    problems: z.array(text),
  }),
  Version: shape("Versions of the program, the API and the store's format.", {
    version: text,
    api: text,
    store_format: int,
  }),
  Root: shape("Where to go on.", { name: text, version: text, openapi: text, registry: text, hint: text }),
  OpenApi: shape("This document.", { openapi: text, paths: z.looseObject({}) }),
  Registry: shape("An answer of the OCI distribution-spec 1.1.", {}),
} as const satisfies Record<string, z.ZodType>;
