/** `GET /v1/farm/backup`: the last backup since the farm started. */
export interface BackupJson {
  readonly dir: string;
  readonly state: "running" | "done" | "failed";
  /** The last command in it. */
  readonly seq?: number;
  readonly files?: number;
  readonly bytes?: number;
  readonly error?: { readonly code: string; readonly detail: string };
}

/** `GET /v1/pointer`: this process's copy of the state. */
export interface PointerJson {
  readonly up: boolean;
  readonly reason?: string;
  readonly applied_seq: number;
  readonly state_version: number;
  /** The newest position at which all replicas that came so far had this state; null before the first. */
  readonly compared: { readonly seq: number; readonly digest: string } | null;
  /** Positions of the snapshots that are kept here, the newest first. */
  readonly snapshots: readonly number[];
}
