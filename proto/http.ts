import { z } from "zod";
import type { Change } from "./diff-trees.ts";
import { DURATION, parseDurationMs } from "./duration.ts";
import type { ErrorCode, ErrorDetail } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type {
  ActivationCause,
  HoldRecord,
  PreviewRecord,
  ProjectSettings,
  PublishRecord,
  ReleaseRecord,
  Scope,
  SessionRecord,
} from "./records.ts";
import { SCOPES } from "./records.ts";
import type { BlobRange } from "./upload-session.ts";

/** Shapes of the HTTP API (`/v1`): what the api renders, the CLI and other clients read. Field names are public. */

/** RFC 9457 problem document. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;
  readonly request_id: string;
  /** Particulars of the code: member name, actual value, limit, current state. */
  readonly params: ErrorDetail;
  /** Where fields of the request are wrong; none where it is not about one. */
  readonly errors: readonly { readonly pointer: string; readonly message: string }[];
}

export interface ReleaseJson
  extends Omit<
    ReleaseRecord,
    | "order"
    | "manifest"
    | "config"
    | "tree_size"
    | "created_by"
    | "activated_by"
    | "retired_by"
    | "rolled_back_generation"
    | "not_activated_reason"
  > {
  readonly activated: boolean;
  /** The answer to a publish of what had been released before: nothing moved. */
  readonly existing?: boolean;
  readonly not_activated_reason?: ReleaseRecord["not_activated_reason"] | "existing";
  /** What lets an existing release go live. */
  readonly hint?: string;
  readonly image_ref: string;
  readonly url: string;
  readonly created_by: string;
  readonly activated_by?: string;
  readonly retired_by?: string;
}

export interface PreviewJson
  extends Omit<
    PreviewRecord,
    "order" | "manifest" | "config" | "tree_size" | "created_by" | "updated_by" | "expires_at" | "ttl_ms"
  > {
  readonly image_ref: string;
  readonly url: string;
  readonly created_by: string;
  readonly updated_by: string;
  /** Time to live after a publish, in seconds. */
  readonly ttl_s: number;
  /** null while it is pinned. */
  readonly expires_at: string | null;
}

/** A session and what it runs. */
export interface SessionJson extends Omit<SessionRecord, "session_id" | "created_by"> {
  readonly id: string;
  readonly created_by: string;
  readonly image_ref: string;
  readonly url: string;
}

/** What keeps publishes from going live: the hold of the project itself, else that of its org, else that of the farm. */
export interface HeldJson extends HoldRecord {
  readonly level: "project" | "org" | "farm";
}

/** `GET /v1/orgs/{org}/holds` and, without `org`, `GET /v1/holds`. */
export interface HoldJson {
  readonly org?: string;
  readonly held: HeldJson | null;
}

/** `GET .../current`; also the body of activations and rollbacks, which add what changed. */
export interface CurrentJson extends ReleaseJson {
  readonly generation: number;
  readonly held: HeldJson | null;
  /** Cursor behind the newest event that this answer reflects. */
  readonly event_seq: string;
}

/** `GET .../at`: the release as it is today, and the activation that was in force then. */
export interface LiveAtJson extends ReleaseJson {
  readonly time: string;
  readonly generation: number;
  readonly cause: ActivationCause;
  readonly reason?: string;
  readonly live_from: string;
  readonly live_by: string;
  /** null: it is live. */
  readonly live_until: string | null;
}

export interface PointerChangeJson extends CurrentJson {
  readonly changed: boolean;
  readonly from: string | null;
  readonly to: string;
  readonly cause: ActivationCause;
  /** When the release that was left had been activated, and by whom. */
  readonly from_activated_at?: string;
  readonly from_activated_by?: string;
}

/** What a publish ended with, in the members of a problem document. */
export type PublishErrorJson = Pick<
  Problem,
  "code" | "title" | "detail" | "hint" | "status" | "retryable" | "params"
>;

export interface PublishJson extends Omit<PublishRecord, "error" | "created_by"> {
  readonly created_by: string;
  readonly url: string;
  readonly release?: ReleaseJson;
  /** The preview, while it lives and shows this publish. */
  readonly preview?: PreviewJson;
  /** What keeps the release from going live, where it became ready under a hold; null: that hold is over. */
  readonly held?: HeldJson | null;
  readonly error?: PublishErrorJson;
}

/** Answer to a listing: what of it has to be sent. */
export interface PlanJson {
  readonly tree: string;
  /** `[first, count]` in the sequence of the listing's distinct contents, by order of their first file. */
  readonly missing: readonly BlobRange[];
  readonly missing_blobs: number;
  readonly missing_bytes: number;
  /** Kept release of the project with the same tree. */
  readonly existing?: string;
  /** What is live; absent when nothing is, or the token may not read. */
  readonly current?: CurrentJson;
  /** Absent when only the answer was asked for, or a publish of what changed and nothing did. */
  readonly session?: string;
  readonly expires_at?: string;
}

/** State of an upload session: the stream continues at `offset` of `size`. */
export interface UploadJson {
  readonly session: string;
  readonly offset: number;
  readonly size: number;
  readonly expires_at: string;
}

export interface AuditJson {
  readonly seq: number;
  readonly at: string;
  readonly org: string;
  readonly project?: string;
  readonly action: string;
  readonly resource: string;
  readonly actor: string;
  readonly ok: boolean;
  readonly code?: string;
  readonly reason?: string;
  readonly request_id?: string;
  readonly remote?: string;
}

export interface ProjectJson {
  readonly org: string;
  readonly project: string;
  readonly current: string | null;
  readonly generation: number;
  readonly last_version: string | null;
  readonly held: HeldJson | null;
  readonly settings: ProjectSettings;
  readonly created_at: string;
}

export interface FileJson {
  readonly path: string;
  readonly type: "file" | "symlink" | "directory";
  readonly size?: number;
  readonly digest?: string;
  readonly executable?: boolean;
  readonly target?: string;
}

/** `POST .../releases/{ref}:materialize`: a folder on the node. */
export interface MaterializedJson {
  readonly org: string;
  readonly project: string;
  readonly version?: string;
  readonly tree: string;
  readonly path: string;
  readonly existing: boolean;
  readonly files: number;
  /** Shared with other roots of the project. */
  readonly linked: number;
  readonly written: number;
  readonly written_bytes: number;
  readonly took_ms: number;
}

/** `GET .../diff`: pairs are [from, to]. */
export interface DiffJson {
  readonly from: string;
  readonly to: string;
  readonly same_image: boolean;
  readonly build_kind: readonly [string, string];
  readonly execution: readonly [string, string];
  readonly entry_point: readonly [string | null, string | null];
  readonly layers: { readonly kept: number; readonly added: number; readonly removed: number };
  readonly counts: Readonly<Record<Change, number>>;
  /** In path order; `truncated` when there are more behind them. */
  readonly items: readonly {
    readonly path: string;
    readonly change: Change;
    readonly from?: FileJson;
    readonly to?: FileJson;
  }[];
  readonly truncated: boolean;
  readonly next_cursor: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export interface TokenJson {
  readonly id: string;
  readonly org: string;
  readonly project?: string;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
  /** Only in the answer to its creation. */
  readonly token?: string;
}

export interface WhoamiJson {
  readonly token_id: string;
  readonly org: string;
  readonly project?: string;
  readonly scopes: readonly Scope[];
  readonly expires_at: string | null;
}

/** `GET /v1/queue`: orgs with publishes that have not ended. */
export interface QueueJson {
  readonly lanes: readonly {
    readonly lane: string;
    readonly org: string;
    /** Accepted, and no node has taken it up. */
    readonly queued: number;
    readonly running: number;
    /** The publish that was accepted first of those that have not ended. */
    readonly oldest_publish: string | null;
    readonly oldest_age_ms: number | null;
  }[];
}

export interface NodeJson {
  readonly node: string;
  /** `draining`: cordoned, and jobs still run; `cordoned`: none runs any more. */
  readonly state: "ready" | "draining" | "cordoned" | "down";
  readonly labels: Readonly<Record<string, string>>;
  readonly threads: number;
  /** What the node was started with, where `scale` has set another number. */
  readonly threads_default?: number;
  readonly threads_busy: number;
  /** Publishes that it works on. */
  readonly jobs: number;
  readonly build_slots: number;
  readonly gpus: readonly {
    uuid: string;
    model: string;
    memory_mib: number;
    driver: string;
    job: string | null;
  }[];
  readonly disk: { readonly path: string; readonly free_bytes: number; readonly total_bytes: number };
  readonly last_seen: string;
  readonly version: string;
}

const version = z.union([
  z.string().regex(/^v[1-9][0-9]{0,8}$/, "must be a version such as v3"),
  z
    .int()
    .positive()
    .transform((n) => `v${n}`),
]);
const reason = z.string().max(LIMITS.reasonBytes);
const generation = z.int().nonnegative();
const ttl = z.string().regex(DURATION, "must be a duration such as 90s, 15m or 8h");
const boundedDuration = ttl.refine(
  (text) => (parseDurationMs(text) ?? 0) <= LIMITS.durationMs,
  `is longer than ${LIMITS.durationMs / 86_400_000} d: without one there is no end`,
);

export const ActivationBody = z.strictObject({
  version,
  expected_generation: generation.optional(),
  reason: reason.optional(),
});
export const RollbackBody = z.strictObject({
  to: version.optional(),
  expected_generation: generation.optional(),
  reason: reason.optional(),
});
export const RetireBody = z.strictObject({ reason: reason.optional() });
export const HoldBody = z.strictObject({
  reason: reason.optional(),
  for: boundedDuration.optional(),
});
export const PromoteBody = z.strictObject({
  activate: z.boolean().optional(),
  /** Only if the preview still shows this image. */
  image_digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .optional(),
  expected_generation: generation.optional(),
  reason: reason.optional(),
});
export const SessionBody = z.strictObject({ ttl: ttl.optional() });
export const ExtendBody = z.strictObject({ ttl: ttl.optional() });
export const CommitUploadBody = z.strictObject({
  preview: z.string().optional(),
  ttl: ttl.optional(),
  commit: z.string().optional(),
  source: z.string().optional(),
  dirty: z.boolean().optional(),
  activate: z.boolean().optional(),
  force_new: z.boolean().optional(),
});
export const BackupBody = z.strictObject({ dir: z.string().min(1).max(4_096) });
export const CancelBody = z.strictObject({ reason: reason.optional() });
export const TokenBody = z.strictObject({
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length),
  project: z.string().optional(),
  expires: boundedDuration.optional(),
});
export const NodeBody = z.strictObject({
  /** null: back to what the node was started with. */
  threads: z.int().min(1).max(LIMITS.threadsPerNode).nullable().optional(),
  cordoned: z.boolean().optional(),
});
export const SettingsBody = z.strictObject({
  require_commit: z.boolean().optional(),
  portable_names: z.boolean().optional(),
  public_pull: z.boolean().optional(),
  overtake: z.boolean().optional(),
  default_ttl: ttl.optional(),
  /** null: no quota. */
  quota_bytes: z.int().positive().nullable().optional(),
  /** null: as many as the org may. */
  max_concurrency: z.int().min(1).max(LIMITS.orgJobsAtOnce).nullable().optional(),
  /** Replaced as a whole; `{}` keeps every release. */
  retention: z
    .strictObject({
      keep_last: z.int().min(1).max(LIMITS.keepLastReleases).optional(),
      keep_for: ttl.optional(),
    })
    .optional(),
});
