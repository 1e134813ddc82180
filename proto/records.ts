import type { BuildKind } from "./build-kind.ts";
import type { Descriptor, Digest } from "./digest.ts";
import type { WireError } from "./errors.ts";
import type { Name } from "./names.ts";
import type { TrustProvider } from "./trust.ts";

/**
 * Records of the pointer state, in the field names of the public JSON. Times are RFC 3339 UTC with milliseconds and come from
 * the command log, never from a clock.
 */
export interface Actor {
  readonly kind: "token" | "system" | "trust";
  /** Token id, trust id, or the name of the part of the system that acted. */
  readonly id: string;
}

export type PublishState =
  | "queued"
  | "ingesting"
  | "building"
  | "ready"
  | "failed"
  | "cancelled"
  | "overtaken";
export const TERMINAL_STATES: ReadonlySet<PublishState> = new Set([
  "ready",
  "failed",
  "cancelled",
  "overtaken",
]);

/** What was sent for a publish, durable in the inbox of the node that took it. */
export interface UploadRecord {
  /** Of the archive; of the tree when it is a listing: equal content is known by it, however little of it was sent. */
  readonly digest: Digest;
  /** Bytes that were sent. */
  readonly size: number;
  /** Absent: one archive. listing: a listing and the stream of what was missing. */
  readonly form?: "listing";
}

/** What a publish is for: the project's releases, or one preview. */
export type Channel = "production" | `preview/${string}`;

export interface PublishRecord {
  readonly publish_id: string;
  readonly org: Name;
  readonly project: Name;
  readonly state: PublishState;
  readonly channel: Channel;
  /** The accept sequence (ruling 1). */
  readonly order: number;
  readonly upload: UploadRecord;
  readonly commit: string | null;
  readonly source?: string;
  readonly dirty?: boolean;
  readonly activate: boolean;
  readonly strip?: number;
  readonly idempotency_key?: string;
  /** A new release was asked for even if the same content is already released. */
  readonly force_new?: boolean;
  readonly attempt: number;
  readonly node?: string;
  readonly created_at: string;
  readonly created_by: Actor;
  readonly started_at?: string;
  readonly ended_at?: string;
  /** Set when ready: `v3`. A preview's publish never has one. */
  readonly version?: string;
  /** What a ready publish of a preview built. */
  readonly image_digest?: Digest;
  readonly existing?: boolean;
  /** Time to live that it gives its preview, in ms; absent: that of the preview, else of the project. */
  readonly preview_ttl_ms?: number;
  /** The newer publish of the channel because of which this one ended as `overtaken`. */
  readonly overtaken_by?: string;
  readonly error?: WireError;
}

export type ReleaseState = "ready" | "active" | "superseded" | "retired";

export interface PublishStats {
  /** Bytes of the upload as sent. */
  readonly uploaded_bytes: number;
  /** Content that the project's recent releases did not have. */
  readonly new_blob_bytes: number;
  readonly new_blobs: number;
  readonly reused_blob_bytes: number;
  readonly reused_blobs: number;
  readonly new_layers: number;
  readonly reused_layers: number;
  readonly timings_ms: Readonly<Record<string, number>>;
}

export type NotActivatedReason = "held" | "older" | "not_requested";

/** An artifact (tree + image) and how it was made: what `ready` carries. A release points to it and is not it. */
export interface ArtifactRecord {
  readonly tree: Digest;
  readonly tree_size: number;
  readonly image_digest: Digest;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly recipe_version: number;
  readonly platform: string;
  readonly user: string;
  readonly build_kind: BuildKind;
  readonly build_reason: string;
  readonly requested_kind?: BuildKind;
  readonly execution: BuildKind;
  readonly entry_point?: string;
  readonly size_bytes: number;
  readonly file_count: number;
  readonly warnings: readonly string[];
}

export interface ReleaseRecord extends ArtifactRecord {
  readonly org: Name;
  readonly project: Name;
  readonly version: string;
  readonly publish_id: string;
  readonly order: number;
  readonly state: ReleaseState;
  readonly channel: Channel;
  /** The channel whose artifact was promoted: `preview/pr-12`. */
  readonly promoted_from?: Channel;
  readonly not_activated_reason?: NotActivatedReason;
  readonly commit: string | null;
  readonly source?: string;
  readonly dirty?: boolean;
  readonly created_at: string;
  readonly created_by: Actor;
  readonly activated_at?: string;
  readonly activated_by?: Actor;
  /** Generation of its newest activation. */
  readonly generation?: number;
  /** Generation at which it was last rolled back from. */
  readonly rolled_back_generation?: number;
  readonly retired_at?: string;
  readonly retired_by?: Actor;
  readonly stats: PublishStats;
}

export type PreviewState = "ready" | "expired" | "removed";

/** A preview: an artifact under a name, without a version, until its time is over. One that has ended is kept as history only. */
export interface PreviewRecord extends ArtifactRecord {
  readonly org: Name;
  readonly project: Name;
  readonly name: Name;
  readonly state: PreviewState;
  /** The publish that it shows, and the order of that publish. */
  readonly publish_id: string;
  readonly order: number;
  readonly channel: Channel;
  readonly commit: string | null;
  readonly source?: string;
  readonly dirty?: boolean;
  readonly created_at: string;
  readonly created_by: Actor;
  readonly updated_at: string;
  readonly updated_by: Actor;
  readonly ttl_ms: number;
  readonly pinned: boolean;
  /** RFC 3339; absent while it is pinned. */
  readonly expires_at?: string;
  readonly ended_at?: string;
  /** Version that its present artifact was promoted to. */
  readonly promoted_as?: string;
  readonly stats: PublishStats;
}

/** A durable place in an org's events that the subscribers of a group share: one of them reads at a time. */
export interface SubscriptionRecord {
  readonly group: Name;
  readonly org: Name;
  /** Only of this project's events. */
  readonly of_project?: Name;
  /** Everything up to here has been handled. */
  readonly cursor: string;
  /** Grows with every new holder; a commit of an older one is refused. */
  readonly epoch: number;
  readonly holder: string;
  /** RFC 3339: the holder's claim ends here unless it is renewed. */
  readonly held_until: string;
  readonly created_at: string;
  readonly updated_at: string;
}

/** An application session, pinned to the release that was live when it started. The row is gone when the session has ended. */
export interface SessionRecord {
  readonly session_id: string;
  readonly org: Name;
  readonly project: Name;
  readonly version: string;
  readonly image_digest: Digest;
  readonly tree: Digest;
  /** Of the activation that was live. */
  readonly generation: number;
  readonly created_at: string;
  readonly created_by: Actor;
  /** RFC 3339. */
  readonly expires_at: string;
}

export interface HoldRecord {
  readonly reason: string;
  readonly since: string;
  readonly by: Actor;
  /** RFC 3339; absent: until released. */
  readonly until?: string;
}

export interface ProjectRecord {
  readonly org: Name;
  readonly project: Name;
  readonly created_at: string;
  readonly created_by: Actor;
  /** Number of the newest version; 0 before the first. */
  readonly last_version: number;
  /** The pointer: version that is live, and how often it moved. */
  readonly current: string | null;
  readonly generation: number;
  /** Highest order that was activated automatically (ruling 1). */
  readonly auto_order: number;
  readonly hold?: HoldRecord;
  /** Sequence of the newest event of the project. */
  readonly event_n: number;
  /** Log position of the newest event: where a subscriber that read `current` starts. */
  readonly event_seq: number;
  /** Set by the first retirement: from then on references to what the repository serves are counted. */
  readonly counts_references?: true;
  /** Bytes of kept releases and living previews; counted from the first quota on. */
  readonly kept_bytes?: number;
  readonly settings: ProjectSettings;
}

export interface ProjectSettings {
  readonly require_commit?: boolean;
  readonly portable_names?: boolean;
  readonly public_pull?: boolean;
  /** A queued publish ends when a newer one of its channel arrives. Absent: for previews only; false: for none; true: for all. */
  readonly overtake?: boolean;
  /** Time to live of previews, such as `72h`. */
  readonly default_ttl?: string;
  /** Which releases stay. Absent: every one, until somebody retires it. */
  readonly retention?: Retention;
  /** Bytes that kept releases and living previews may have before publishes are refused; absent or null: any number. */
  readonly quota_bytes?: number | null;
  /** Publishes that nodes work on, or may take up, at once; the others wait in the order of their acceptance. Absent or null: any number. */
  readonly max_concurrency?: number | null;
}

/** A release is retired by itself when neither member keeps it; without members every release stays. */
export interface Retention {
  /** This many of the newest. */
  readonly keep_last?: number;
  /** Those that were made or live within this time, such as `30d`. */
  readonly keep_for?: string;
}

export interface ActivationRecord {
  readonly generation: number;
  readonly from: string | null;
  readonly to: string;
  readonly image_digest: Digest;
  readonly cause: ActivationCause;
  readonly actor: Actor;
  readonly at: string;
  readonly reason?: string;
}

export type ActivationCause = "publish" | "activate" | "rollback" | "promote";

export interface AuditRecord {
  /** Position in the command log. */
  readonly seq: number;
  readonly at: string;
  readonly org: Name;
  readonly project?: Name;
  readonly action: string;
  /** What was acted on: publish id, `v3`, token id. */
  readonly resource: string;
  readonly actor: Actor;
  readonly ok: boolean;
  /** Error code of a refused command. */
  readonly code?: string;
  readonly reason?: string;
  readonly request_id?: string;
  readonly remote?: string;
}

export const SCOPES = [
  "read",
  "publish",
  "preview",
  "activate",
  "rollback",
  "hold",
  "token:admin",
  "farm:read",
  "farm:admin",
  "write",
  "admin",
] as const;
export type Scope = (typeof SCOPES)[number];

export interface TokenRecord {
  readonly id: string;
  readonly org: Name;
  readonly project?: Name;
  /** sha256 of the whole token text, hex. The token itself is stored nowhere. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  readonly created_by: Actor;
  readonly expires_at?: string;
  readonly revoked_at?: string;
  /** The trust that it was issued for: it dies with it. */
  readonly trust?: string;
}

/** Whose CI jobs get a short-lived token for their id token (OpenID Connect). */
export interface TrustRecord {
  readonly id: string;
  readonly org: Name;
  /** Tokens are bound to this project. */
  readonly project?: Name;
  readonly provider: TrustProvider;
  /** The `iss` claim, exactly; keys are found below it. */
  readonly issuer: string;
  /** The `aud` claim, exactly. */
  readonly audience: string;
  /** Claims that the id token must have, with the values that are accepted. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  readonly created_by: Actor;
}

export interface OrgSettings {
  /** Publishes that wait or run at once; null: the farm's own limit. */
  readonly max_queued?: number | null;
}

export interface OrgRecord {
  readonly org: Name;
  readonly settings?: OrgSettings;
  readonly created_at: string;
  readonly created_by: Actor;
}

/** What operators set of a node; what is absent is as the node was started. */
export interface NodeRecord {
  readonly node: Name;
  readonly threads?: number;
  readonly cordoned?: true;
  readonly updated_at: string;
  readonly updated_by: Actor;
}
