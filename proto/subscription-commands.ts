import type { Name } from "./names.ts";

/**
 * One of a group of subscribers asks to be the one that reads, or to stay it. It is, when nobody else's claim lives; each new holder
 * has a new epoch, and what an older one commits is refused.
 */
export interface SubscriptionClaimCommand {
  readonly type: "subscription.claim";
  readonly group: Name;
  /** Only of this project's events; part of what the group is. */
  readonly of_project?: Name;
  /** Who asks: unique per process. */
  readonly holder: string;
  readonly ttl_ms: number;
  /** Where a group that does not exist yet begins. */
  readonly from: string;
  /** Groups of the org that may exist: in the command, so that a changed limit does not change old logs. */
  readonly limit: number;
}

/** The holder has handled everything up to a cursor. */
export interface SubscriptionCommitCommand {
  readonly type: "subscription.commit";
  readonly group: Name;
  readonly epoch: number;
  readonly cursor: string;
  readonly ttl_ms: number;
  /** The holder leaves: another may take over at once. */
  readonly leave: boolean;
}

export interface SubscriptionRemoveCommand {
  readonly type: "subscription.remove";
  readonly group: Name;
}

export type SubscriptionCommand =
  | SubscriptionClaimCommand
  | SubscriptionCommitCommand
  | SubscriptionRemoveCommand;
