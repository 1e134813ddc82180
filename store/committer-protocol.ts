import type { CommitBatch } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import type { WireError } from "../proto/errors.ts";
import type { AccountErrors } from "./account-errors.ts";
import type { GoneBytes } from "./gone-bytes.ts";
import type { Place } from "./place-list.ts";

/** What the main thread asks of the committer thread. Every request is answered, in groups, once its effect is durable. */
export type CommitterRequest =
  /** Make a task's content durable and visible. */
  | {
      readonly kind: "commit";
      readonly batch: CommitBatch;
      readonly heldBy?: string;
      /** Of its content that is new; see `born` of a blob's row. */
      readonly day?: number;
    }
  /** Make an upload durable under its lease, and give as long a lease to what goes with it. */
  | {
      readonly kind: "seal";
      readonly uploadId: string;
      readonly size: number;
      readonly untilMs: number;
      readonly alsoHeld: readonly string[];
      /** What a small upload has: it was not written yet. */
      readonly bytes?: Uint8Array;
    }
  /**
   * End the leases of uploads, then remove their files. Nobody waits for it when it comes `behind` a publish that has ended: then it goes with
   * the next group, or after {@link REMOVE_WITHIN_MS}.
   */
  | { readonly kind: "remove"; readonly uploadIds: readonly string[]; readonly behind: boolean }
  | { readonly kind: "acquire"; readonly leaseId: string; readonly untilMs: number }
  | { readonly kind: "release"; readonly leaseId: string }
  /** Content failed verification: no longer serve it, unless it has come again and lies elsewhere. */
  | { readonly kind: "damage"; readonly digest: Digest; readonly at: Place | undefined }
  | { readonly kind: "collect"; readonly step: CollectStep };

/** The steps of a run of GC, each a bounded transaction. Digests are 32 bytes each. */
export type CollectStep =
  /** Watch commits: what they bring or rely on from here to `end` is not condemned. */
  | { readonly do: "begin" }
  | { readonly do: "end" }
  /** Changes nothing: which publishes that have not ended brought or rely on a digest. */
  | { readonly do: "holders"; readonly digest: Digest }
  /** What nothing names counts as absent from now on; what is damaged and not named goes at once. */
  | {
      readonly do: "condemn";
      readonly digests: Uint8Array;
      readonly nowMs: number;
      readonly dryRun: boolean;
      /** Only what came after this day: what is older, or of unknown age, may be named by a listing that cannot be read. */
      readonly bornAfter?: number;
    }
  | { readonly do: "revive"; readonly digests: Uint8Array }
  /** Delete what was condemned up to a time and under an epoch that everybody at work has seen; a page of `limit` rows behind `after`. */
  | {
      readonly do: "delete";
      readonly after?: Uint8Array;
      readonly limit: number;
      readonly untilMs: number;
      readonly untilEpoch: number;
    }
  /** Nothing changes but the epoch. */
  | { readonly do: "turn" }
  /** Rows of segment `from` point to copies from now on; `copies` is a batch without references. */
  | { readonly do: "move"; readonly from: number; readonly copies: CommitBatch }
  /** Files that fsck has named. */
  | { readonly do: "quarantine"; readonly names: readonly string[]; readonly firstOpenSegment: number }
  /** Takes errors off the accounts. */
  | { readonly do: "correct"; readonly errors: AccountErrors }
  /** Segments that no row points to. */
  | { readonly do: "drop"; readonly segments: readonly number[] };

/** What a step did. Bytes are as on disk: whole records and big files. */
export interface CollectResult {
  readonly blobs: number;
  readonly bytes: number;
  /** After the step. */
  readonly epoch: number;
  /** Condemned content that the step left, because it may not be deleted yet. */
  readonly waitingBlobs: number;
  readonly waitingBytes: number;
  /** What was not condemned because of its age. */
  readonly heldBlobs: number;
  readonly heldBytes: number;
  /** Of a dry run. */
  readonly gone: GoneBytes;
  /** Bytes that the disk got back. */
  readonly freedBytes: number;
  /** Segments that are gone. */
  readonly dropped: readonly number[];
  /** Of what was named: what went to quarantine or was cut. */
  readonly removed: readonly string[];
  /** Leases under which what was asked about is held. */
  readonly holders: readonly string[];
  /** Where the next page begins; undefined behind the last. */
  readonly next?: Uint8Array;
}

export interface CommitterMessage {
  readonly id: number;
  readonly request: CommitterRequest;
}

export interface CommitterAnswer {
  readonly id: number;
  readonly error?: WireError;
  readonly collected?: CollectResult;
}

/** What the committer says on its own. */
export type CommitterReport =
  | { readonly type: "opened"; readonly nextSegmentId: number; readonly findings: readonly Finding[] }
  | { readonly type: "refused"; readonly error: WireError }
  | { readonly type: "answers"; readonly answers: readonly CommitterAnswer[]; readonly failed?: WireError }
  | { readonly type: "closed" };

/** Something that recovery found and dealt with, for the log. */
export interface Finding {
  readonly level: "info" | "error";
  readonly message: string;
  readonly data: Readonly<Record<string, string | number>>;
}

export interface CommitterData {
  readonly storeDir: string;
  readonly fsCells: SharedArrayBuffer;
  readonly nowMs: number;
  /** See {@link Ballast}. */
  readonly ballastBytes: number;
}

/** How long removals wait for a group that has to be synced anyway. */
export const REMOVE_WITHIN_MS = 50;

/** Requests that one group takes at most: bounds the size of a transaction and the wait of the last one. */
export const GROUP_REQUESTS = 256;
