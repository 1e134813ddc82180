import type { CommitBatch } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import type { WireError } from "../proto/errors.ts";

/** What the main thread asks of the committer thread. Every request is answered, in groups, once its effect is durable. */
export type CommitterRequest =
  /** Make a task's content durable and visible. */
  | { readonly kind: "commit"; readonly batch: CommitBatch }
  /** Make an upload durable under its lease. */
  | { readonly kind: "seal"; readonly uploadId: string; readonly size: number; readonly untilMs: number }
  | { readonly kind: "acquire"; readonly leaseId: string; readonly untilMs: number }
  | { readonly kind: "release"; readonly leaseId: string }
  /** Content failed verification: no longer serve it. */
  | { readonly kind: "damage"; readonly digest: Digest };

export interface CommitterMessage {
  readonly id: number;
  readonly request: CommitterRequest;
}

export interface CommitterAnswer {
  readonly id: number;
  readonly error?: WireError;
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
}

/** Requests that one group takes at most: bounds the size of a transaction and the wait of the last one. */
export const GROUP_REQUESTS = 256;
