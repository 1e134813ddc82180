import { actorText } from "../../proto/actor-text.ts";
import { previewOf } from "../../proto/channel.ts";
import { GranaryError } from "../../proto/errors.ts";
import { behindCommand, formatCursor } from "../../proto/events.ts";
import type {
  AuditJson,
  CurrentJson,
  FileJson,
  PreviewJson,
  ProjectJson,
  PublishErrorJson,
  PublishJson,
  ReleaseJson,
  SessionJson,
  TokenJson,
} from "../../proto/http.ts";
import type { TrustJson } from "../../proto/http-trust.ts";
import { imageRef } from "../../proto/image.ts";
import { parseVersion } from "../../proto/names.ts";
import type {
  AuditRecord,
  PreviewRecord,
  ProjectRecord,
  PublishRecord,
  ReleaseRecord,
  SessionRecord,
  TokenRecord,
  TrustRecord,
} from "../../proto/records.ts";
import type { TreeEntry } from "../../proto/tree.ts";
import { findHold } from "../shared/find-hold.ts";
import { toProblem } from "../shared/problem.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findPreview, findProject, findRelease } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";

type Links = Pick<ApiContext, "url" | "publicName">;

/** Records of the state as the JSON that clients see: internal fields out, references and links in. */
export function releaseJson(
  record: ReleaseRecord,
  links: Links,
  extra: { existing?: boolean } = {},
): ReleaseJson {
  const {
    order: _order,
    manifest: _manifest,
    config: _config,
    tree_size: _treeSize,
    rolled_back_generation: _rolledBack,
    ...rest
  } = record;
  return {
    ...rest,
    created_by: actorText(record.created_by),
    ...(record.activated_by === undefined ? {} : { activated_by: actorText(record.activated_by) }),
    ...(record.retired_by === undefined ? {} : { retired_by: actorText(record.retired_by) }),
    activated: record.state === "active",
    ...(extra.existing === true ? existing(record) : {}),
    image_ref: imageRef(links.publicName(), record.org, record.project, record.image_digest),
    url: `${links.url()}/v1/orgs/${record.org}/projects/${record.project}/releases/${record.version}`,
  } as ReleaseJson;
}

/** An existing release is never made live again by a publish of the same: the answer says so, and what does it. */
function existing({ org, project, version, state }: ReleaseRecord): Partial<ReleaseJson> {
  if (state === "active") return { existing: true };
  const hint = `\`granary activate ${org}/${project}@${version}\` lets it go live.`;
  return { existing: true, not_activated_reason: "existing", ...(state === "retired" ? {} : { hint }) };
}

export function currentJson(
  view: StateView,
  project: ProjectRecord,
  release: ReleaseRecord,
  context: Links & Pick<ApiContext, "now">,
): CurrentJson {
  return {
    ...releaseJson(release, context),
    generation: project.generation,
    held: findHold(view, project, context.now()) ?? null,
    event_seq: formatCursor(behindCommand(project.event_seq)),
  };
}

export function previewJson(record: PreviewRecord, links: Links): PreviewJson {
  const {
    order: _order,
    manifest: _manifest,
    config: _config,
    tree_size: _treeSize,
    ttl_ms: ttlMs,
    ...rest
  } = record;
  const { org, project, name } = record;
  return {
    ...rest,
    created_by: actorText(record.created_by),
    updated_by: actorText(record.updated_by),
    ttl_s: ttlMs / 1000,
    expires_at: record.expires_at ?? null,
    image_ref: imageRef(links.publicName(), org, project, record.image_digest),
    url: `${links.url()}/v1/orgs/${org}/projects/${project}/previews/${name}`,
  };
}

export function sessionJson(record: SessionRecord, links: Links): SessionJson {
  const { session_id: id, ...rest } = record;
  const { org, project } = record;
  return {
    id,
    ...rest,
    created_by: actorText(record.created_by),
    image_ref: imageRef(links.publicName(), org, project, record.image_digest),
    url: `${links.url()}/v1/orgs/${org}/projects/${project}/sessions/${id}`,
  };
}

/** A publish with the release or the preview it became, read from one moment of the state. */
export function renderPublish(
  view: StateView,
  record: PublishRecord,
  links: Links & Pick<ApiContext, "now">,
): PublishJson {
  const version = record.version === undefined ? undefined : parseVersion(record.version);
  const release = version === undefined ? undefined : findRelease(view, record, version);
  const name = previewOf(record.channel);
  const preview = name === undefined ? undefined : findPreview(view, record, name);
  const shows = preview?.publish_id === record.publish_id ? preview : undefined;
  const project =
    release?.state === "ready" && release.not_activated_reason === "held"
      ? findProject(view, record)
      : undefined;
  return {
    ...publishJson(record, release, links),
    ...(project === undefined ? {} : { held: findHold(view, project, links.now()) ?? null }),
    ...(shows === undefined ? {} : { preview: previewJson(shows, links) }),
  };
}

function publishJson(record: PublishRecord, release: ReleaseRecord | undefined, links: Links): PublishJson {
  const { error, created_by, ...rest } = record;
  return {
    ...rest,
    created_by: actorText(created_by),
    url: `${links.url()}/v1/publishes/${record.publish_id}`,
    ...(release === undefined
      ? {}
      : { release: releaseJson(release, links, { existing: record.existing === true }) }),
    ...(error === undefined ? {} : { error: publishError(error) }),
  };
}

function publishError(error: NonNullable<PublishRecord["error"]>): PublishErrorJson {
  const { code, title, detail, hint, status, retryable, params } = toProblem(
    GranaryError.fromWire(error),
    "",
  );
  return { code, title, detail, hint, status, retryable, params };
}

export function projectJson(view: StateView, record: ProjectRecord, nowMs: number): ProjectJson {
  return {
    org: record.org,
    project: record.project,
    current: record.current,
    generation: record.generation,
    last_version: record.last_version === 0 ? null : `v${record.last_version}`,
    held: findHold(view, record, nowMs) ?? null,
    settings: record.settings,
    created_at: record.created_at,
  };
}

export function auditJson(record: AuditRecord): AuditJson {
  return { ...record, actor: actorText(record.actor) };
}

export function tokenJson(record: TokenRecord): TokenJson {
  return {
    id: record.id,
    org: record.org,
    ...(record.project === undefined ? {} : { project: record.project }),
    scopes: record.scopes,
    created_at: record.created_at,
    expires_at: record.expires_at ?? null,
    revoked_at: record.revoked_at ?? null,
  };
}

export function fileJson(entry: TreeEntry): FileJson {
  if (entry.type === "symlink") return { path: entry.path, type: entry.type, target: entry.target };
  if (entry.type === "directory") return { path: entry.path, type: entry.type };
  return {
    path: entry.path,
    type: "file",
    size: entry.size,
    digest: entry.digest,
    executable: entry.executable,
  };
}

export function trustJson(record: TrustRecord): TrustJson {
  return { ...record, created_by: actorText(record.created_by) };
}
