import type { ErrorDetail } from "./errors.ts";

/** What a publish, a release or a preview is as it is for. New ones may be added. */
export type WhyCode =
  // A publish that waits.
  | "farm_unwell"
  | "nodes_cordoned"
  | "project_at_limit"
  | "org_at_limit"
  | "behind_own"
  | "farm_busy"
  | "on_its_way"
  // One that runs.
  | "running"
  | "run_again"
  // One that has ended.
  | "failed"
  | "overtaken"
  | "cancelled"
  | "same_image"
  | "preview_moved_on"
  // A release: why it is live, or is not.
  | "live"
  | "superseded"
  | "rolled_back"
  | "held"
  | "hold_over"
  | "older"
  | "not_requested"
  | "retired"
  // Why it is kept, or is not.
  | "sessions"
  | "no_retention"
  | "retention_paused"
  | "retention_keeps"
  | "retention_ends"
  // A preview.
  | "preview_lives"
  | "promoted";

export interface WhyReasonJson {
  readonly code: WhyCode;
  /** For people: one sentence. */
  readonly text: string;
  /** The same for programs: names, numbers and times of the text. */
  readonly detail: ErrorDetail;
}

/** `GET /v1/publishes/{id}/why`, `GET .../releases/{ref}/why`. */
export interface WhyJson {
  readonly about: "publish" | "release" | "preview";
  readonly org: string;
  readonly project: string;
  readonly publish_id: string;
  readonly version?: string;
  readonly preview?: string;
  readonly state: string;
  /** The most important first; at least one. */
  readonly reasons: readonly WhyReasonJson[];
  /** The command that helps or tells more. */
  readonly next: string | null;
}
