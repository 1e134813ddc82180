import type { WireError } from "../../proto/errors.ts";
import type { Name } from "../../proto/names.ts";

/** What a replica thread is started with. Plain data: it crosses a thread. */
export interface ReplicaThreadData {
  readonly dir: string;
  readonly servers: string | readonly string[];
  readonly seed: Uint8Array;
  readonly inboxPrefix: string;
  readonly name: string;
  readonly relay: boolean;
  /** How long events stay in the state. */
  readonly eventsKeepMs: number;
  /** Replicas compare their states at multiples of this position. */
  readonly digestEvery: number;
  readonly snapshots?: SnapshotOptions;
}

/** Where and how often a replica keeps copies of its state. */
export interface SnapshotOptions {
  readonly dir: string;
  /** Commands between two snapshots. */
  readonly every: number;
  /** How many stay. */
  readonly keep: number;
}

/** A state in one line: all rows after the command at `seq`. */
export interface StateMark {
  readonly seq: number;
  /** sha256 over the sorted rows, hex. */
  readonly digest: string;
}

/** A group of commands that became durable together. */
export interface Applied {
  /** The last applied position. */
  readonly seq: number;
  readonly publishes: readonly string[];
  readonly projects: readonly { readonly org: Name; readonly project: Name }[];
  /** Those of which the group wrote events, or changed webhooks. */
  readonly orgs: readonly Name[];
  /** What nodes may do has changed otherwise than by these publishes: their threads, a cordon, a project's `max_concurrency`. */
  readonly nodes: boolean;
}

/** The thread protocol, whole: what a replica thread tells its owner. */
export type ReplicaMessage =
  | { readonly type: "opened"; readonly seq: number }
  | { readonly type: "ready" }
  | { readonly type: "applied"; readonly applied: Applied }
  /** The state at this position is what every replica has that came this far. */
  | ({ readonly type: "digest" } & StateMark)
  /** Snapshots that this replica keeps now, by position, the newest first. */
  | { readonly type: "snapshots"; readonly seqs: readonly number[] }
  /** The log answered a moment ago; `atHead`: what is applied is all that it had. */
  | { readonly type: "alive"; readonly atHead: boolean }
  /** The connection to the log is lost. */
  | { readonly type: "away" }
  | {
      readonly type: "log";
      readonly level: "info" | "warn";
      readonly detail: Record<string, unknown>;
      readonly message: string;
    }
  /** The thread ends: nothing can be applied any more. */
  | { readonly type: "halted"; readonly error: WireError };

/** What the owner tells the thread. */
export type ReplicaOrder = { readonly type: "close" };
