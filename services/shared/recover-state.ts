import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { listSnapshots, restoreMissingState } from "./snapshots.ts";
import { probeState } from "./state-db-probe.ts";
import { syncFile } from "./sync-file.ts";

/**
 * Sees to it that there is a state that can be opened, if there ever was one: one that is missing or cannot be read goes on from the
 * newest whole snapshot, and the log brings what came after. A damaged one is kept beside it.
 * @throws GranaryError STORE_CORRUPT when there is no snapshot to go on from
 */
export async function recoverState(options: {
  dir: string;
  /** Folder of the snapshots. */
  snapshots: string | undefined;
  log: { warn(detail: object, message: string): void };
}): Promise<void> {
  const { dir, snapshots, log } = options;
  const crashes = crashesOf(dir);
  try {
    await probeState(dir, { extent: crashes < 2 ? "some" : "all" });
  } catch (error) {
    if (!(error instanceof GranaryError)) throw error;
    if (snapshots === undefined || listSnapshots(snapshots).length === 0) throw withWayOut(error, dir);
    const aside = freeName(`${dir}.damaged`);
    renameSync(dir, aside);
    syncFile(path.dirname(dir));
    log.warn({ err: error, kept: aside }, "STORE_CORRUPT: the state cannot be read and was set aside");
  }
  const restored = snapshots === undefined ? undefined : await restoreMissingState(dir, snapshots);
  if (restored !== undefined)
    log.warn({ seq: restored.seq }, "the state was missing: it goes on from a snapshot");
  if (existsSync(dir)) writeFileSync(path.join(dir, OPENED), String(crashes + 1));
}

/** The state that was recovered is not used any more, and nothing went wrong with it. */
export function closedInOrder(dir: string): void {
  rmSync(path.join(dir, OPENED), { force: true });
}

/** How often the state was opened since it was last closed in order: after two crashes all of it is looked at, which may be their cause. */
const OPENED = "opened";

function crashesOf(dir: string): number {
  try {
    return Number(readFileSync(path.join(dir, OPENED), "utf8")) || 0;
  } catch {
    return 0;
  }
}

/** A log is trimmed below snapshots only: where there is none, it is whole, unless it was begun anew. */
function withWayOut(error: GranaryError, dir: string): GranaryError {
  const hint = `There is no snapshot of it. Move ${dir} away: the state is made anew from the command log; a log that does not reach back to its beginning is refused (STATE_BEHIND), then restore a backup.`;
  return new GranaryError(error.code, error.message, { ...error.detail, hint }, { cause: error });
}

function freeName(stem: string): string {
  let number = 1;
  while (existsSync(`${stem}-${number}`)) number += 1;
  return `${stem}-${number}`;
}
