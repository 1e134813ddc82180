import type { Digest } from "./digest.ts";
import type { ErrorCode, ErrorDetail, WireError } from "./errors.ts";
import type { Name } from "./names.ts";
import type { SealedLog } from "./publish-log.ts";
import type {
  ActivationCause,
  Actor,
  ArtifactRecord,
  Channel,
  OrgSettings,
  ProjectSettings,
  PublishStats,
  Scope,
  SessionRecord,
  SubscriptionRecord,
  UploadRecord,
} from "./records.ts";
import type { SubscriptionCommand } from "./subscription-commands.ts";
import type { TrustProvider } from "./trust.ts";
import type {
  WebhookAskCommand,
  WebhookCreateCommand,
  WebhookDisableCommand,
  WebhookRemoveCommand,
  WebhookUpdateCommand,
} from "./webhook-commands.ts";

/**
 * Commands: everything that must survive goes through the log as one of these, in one order, and is applied by a
 * deterministic state machine. A changed meaning needs a new `type`; old logs must replay to the same state.
 */
export interface Command {
  readonly v: 1;
  /** Unique; also the message id, so that a retried append is one command. */
  readonly id: string;
  readonly actor: Actor;
  readonly org: Name;
  readonly project?: Name;
  readonly request_id?: string;
  readonly remote?: string;
  readonly body: CommandBody;
}

export type CommandBody =
  | AcceptCommand
  | StartCommand
  | ReadyCommand
  | FailCommand
  | CancelCommand
  | LogCommand
  | ActivateCommand
  | RollbackCommand
  | HoldCommand
  | UnholdCommand
  | ProjectSetCommand
  | OrgCreateCommand
  | OrgSetCommand
  | OrgRemoveCommand
  | TokenCreateCommand
  | TokenRevokeCommand
  | TrustCreateCommand
  | TrustRemoveCommand
  | OidcExchangeCommand
  | PreviewPinCommand
  | PreviewExtendCommand
  | PreviewRemoveCommand
  | PreviewExpireCommand
  | PreviewPromoteCommand
  | NodeSetCommand
  | RetireCommand
  | WiderHoldCommand
  | WiderUnholdCommand
  | SessionStartCommand
  | SessionEndCommand
  | SessionExpireCommand
  | WebhookCreateCommand
  | WebhookUpdateCommand
  | WebhookRemoveCommand
  | WebhookAskCommand
  | WebhookDisableCommand
  | EventsTrimCommand
  | SubscriptionCommand;

/** Binds an upload, already durable, to one publish id and gives it its order. Creates org and project when `create` is set. */
export interface AcceptCommand {
  readonly type: "accept";
  readonly publish_id: string;
  readonly upload: UploadRecord;
  readonly channel: Channel;
  readonly commit: string | null;
  readonly source?: string;
  readonly dirty?: boolean;
  readonly activate: boolean;
  readonly strip?: number;
  readonly idempotency_key?: string;
  /** The key stands for its publish also when that was overtaken; else, as in old logs, it takes the key anew. */
  readonly keeps_overtaken?: true;
  /** Do not answer with an existing release or join a publish in flight. */
  readonly force_new?: boolean;
  /** Only with a preview's channel. */
  readonly preview_ttl_ms?: number;
  /** Nothing was uploaded: only a publish that has this content already can answer. */
  readonly known_only?: boolean;
  readonly create: { readonly org: boolean; readonly project: boolean };
}

/** A node took the job up. Attempts fence: `ready` and `fail` of an older attempt are recorded and ignored. */
export interface StartCommand {
  readonly type: "start";
  readonly publish_id: string;
  readonly attempt: number;
  readonly node: string;
}

export interface ReadyCommand {
  readonly type: "ready";
  readonly publish_id: string;
  readonly attempt: number;
  readonly node: string;
  readonly artifact: ArtifactRecord;
  readonly stats: PublishStats;
  /** Kept for {@link LIMITS.logKeepMs}. */
  readonly log?: SealedLog;
}

export interface FailCommand {
  readonly type: "fail";
  readonly publish_id: string;
  readonly attempt: number;
  readonly node: string;
  readonly error: WireError;
  readonly log?: SealedLog;
}

export interface CancelCommand {
  readonly type: "cancel";
  readonly publish_id: string;
  readonly reason?: string;
}

/** The stored log of a publish that ended while it ran, by `cancel` say. Only the last attempt's counts, once. */
export interface LogCommand {
  readonly type: "log";
  readonly publish_id: string;
  readonly attempt: number;
  readonly log: SealedLog;
}

export interface ActivateCommand {
  readonly type: "activate";
  readonly version: string;
  /** Of a token that may not go back: refused when what is live by then is a later version. */
  readonly forward_only?: true;
  readonly expected_generation?: number;
  readonly reason?: string;
}

export interface RollbackCommand {
  readonly type: "rollback";
  /** Version to go back to; absent: the newest earlier activation that was never rolled back from. */
  readonly to?: string;
  readonly expected_generation?: number;
  readonly reason?: string;
}

export interface HoldCommand {
  readonly type: "hold";
  readonly reason: string;
  readonly until?: string;
  /** A hold without an end is refused one that has one. */
  readonly keeps_endless?: true;
}

export interface UnholdCommand {
  readonly type: "unhold";
}

/** A hold on all projects of the command's org, or of the farm: then the org is that of the actor, in whose audit log it stands. */
export interface WiderHoldCommand {
  readonly type: "org.hold" | "farm.hold";
  readonly reason: string;
  readonly until?: string;
  readonly keeps_endless?: true;
}

export interface WiderUnholdCommand {
  readonly type: "org.unhold" | "farm.unhold";
}

export interface ProjectSetCommand {
  readonly type: "project.set";
  readonly settings: ProjectSettings;
}

export interface OrgCreateCommand {
  readonly type: "org.create";
}

/** Changes the settings that are named and keeps the others. */
export interface OrgSetCommand {
  readonly type: "org.set";
  readonly settings: OrgSettings;
}

/** Ends an org that has no project and no webhook, with its tokens and trusts. */
export interface OrgRemoveCommand {
  readonly type: "org.remove";
}

export interface TokenCreateCommand {
  readonly type: "token.create";
  readonly token_id: string;
  /** sha256 of the token text, hex. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  readonly token_project?: Name;
  readonly expires_at?: string;
}

export interface TokenRevokeCommand {
  readonly type: "token.revoke";
  readonly token_id: string;
}

export interface TrustCreateCommand {
  readonly type: "trust.create";
  readonly trust_id: string;
  readonly provider: TrustProvider;
  readonly issuer: string;
  readonly audience: string;
  readonly claims: Readonly<Record<string, readonly string[]>>;
  readonly scopes: readonly Scope[];
  readonly trust_project?: Name;
}

/** Tokens that were issued for the trust die with it. */
export interface TrustRemoveCommand {
  readonly type: "trust.remove";
  readonly trust_id: string;
}

/** A verified id token becomes a token with the scopes of the trust, as it is when this is applied. Once per `jti`. */
export interface OidcExchangeCommand {
  readonly type: "oidc.exchange";
  readonly trust_id: string;
  /** sha256 of issuer and `jti`, hex. */
  readonly jti: string;
  /** Until then the id token could be accepted: its `jti` is remembered as long. */
  readonly jti_expires_ms: number;
  readonly token_id: string;
  /** sha256 of the token text, hex. */
  readonly hash: string;
  readonly expires_at: string;
  readonly token_project?: Name;
  /** The id token's subject, for the audit trail. */
  readonly reason: string;
}

/** The preview has no end until it is extended or removed. */
export interface PreviewPinCommand {
  readonly type: "preview.pin";
  readonly name: Name;
}

/** Ends `ttl_ms` after this command, pinned or not; absent: the preview's own time to live. */
export interface PreviewExtendCommand {
  readonly type: "preview.extend";
  readonly name: Name;
  readonly ttl_ms?: number;
}

export interface PreviewRemoveCommand {
  readonly type: "preview.remove";
  readonly name: Name;
  readonly reason?: string;
}

/** The time of a preview is over. Has no effect when it ends at another time meanwhile, or not yet. */
export interface PreviewExpireCommand {
  readonly type: "preview.expire";
  readonly name: Name;
  /** The end that the sender saw. */
  readonly expires_at: string;
}

/** Makes the artifact that the preview shows a release, and lets it go live as a publish would. */
export interface PreviewPromoteCommand {
  readonly type: "preview.promote";
  readonly name: Name;
  readonly activate: boolean;
  /** Only if the preview still shows this image. */
  readonly image_digest?: Digest;
  readonly expected_generation?: number;
  readonly reason?: string;
}

/** Settings of a node, which belong to no org; audited under the actor's. What is absent stays; null: back to what `up` was given. */
export interface NodeSetCommand {
  readonly type: "node.set";
  readonly node: Name;
  readonly threads?: number | null;
  /** Takes no new jobs. */
  readonly cordoned?: boolean;
}

/** The release is over: it cannot go live again, and its content is no longer kept. */
export interface RetireCommand {
  readonly type: "retire";
  readonly version: string;
  readonly reason?: string;
  /** Sent because of the project's retention: without effect when that keeps the release by now. */
  readonly automatic?: true;
}

/** Pins an application session to the release that is live. One that lives keeps its release: the first start wins. */
export interface SessionStartCommand {
  readonly type: "session.start";
  readonly session_id: string;
  readonly ttl_ms: number;
  /** A session that lives already is to live that long from now as well; it never ends earlier because of it. */
  readonly extend: boolean;
  /** Sessions of the project that may live at once: in the command, so that a changed limit does not change old logs. */
  readonly limit: number;
}

export interface SessionEndCommand {
  readonly type: "session.end";
  readonly session_id: string;
  /** Also if another token started it. */
  readonly of_any: boolean;
}

/** The time of these sessions is over. Has no effect on one that ends at another time meanwhile, or not yet. */
export interface SessionExpireCommand {
  readonly type: "session.expire";
  readonly sessions: readonly {
    readonly session_id: string;
    /** The end that the sender saw. */
    readonly expires_at: string;
  }[];
}

/** The org's events up to this place are no longer kept; a command takes a thousand of them. */
export interface EventsTrimCommand {
  readonly type: "events.trim";
  readonly through: string;
}

/** What a command came to. Kept by command id, so that a repeated question gets the same answer; see `trim-expired.ts` for how long. */
export type CommandResult =
  | { readonly ok: true; readonly seq: number; readonly value: CommandValue }
  | {
      readonly ok: false;
      readonly seq: number;
      readonly error: { readonly code: ErrorCode; readonly message: string; readonly detail: ErrorDetail };
    };

export type CommandValue =
  | {
      readonly type: "accepted";
      readonly publish_id: string;
      readonly outcome: "new" | "joined" | "existing";
    }
  | {
      readonly type: "pointer";
      readonly changed: boolean;
      readonly generation: number;
      readonly from: string | null;
      readonly to: string;
      readonly cause: ActivationCause;
    }
  | {
      readonly type: "promoted";
      readonly version: string;
      /** The artifact was a release already: nothing was allocated and nothing moved. */
      readonly existing: boolean;
      readonly activated: boolean;
    }
  | { readonly type: "subscription"; readonly held: boolean; readonly subscription: SubscriptionRecord }
  | { readonly type: "session"; readonly started: boolean; readonly session: SessionRecord }
  | { readonly type: "ended"; readonly publish_id: string; readonly applied: boolean }
  | { readonly type: "done"; readonly changed: boolean };
