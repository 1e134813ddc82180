import { existsSync, renameSync } from "node:fs";
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
  try {
    await probeState(dir);
  } catch (error) {
    if (!(error instanceof GranaryError)) throw error;
    if (snapshots === undefined || listSnapshots(snapshots).length === 0) throw withWayOut(error, dir);
    const aside = freeName(`${dir}.damaged`);
    renameSync(dir, aside);
    syncFile(path.dirname(dir));
    log.warn({ err: error, kept: aside }, "STORE_CORRUPT: the state cannot be read and was set aside");
  }
  if (snapshots === undefined) return;
  const restored = await restoreMissingState(dir, snapshots);
  if (restored !== undefined)
    log.warn({ seq: restored.seq }, "the state was missing: it goes on from a snapshot");
}

/** A log is trimmed below snapshots only: where there is none, it is whole, unless it was begun anew. */
function withWayOut(error: GranaryError, dir: string): GranaryError {
  const hint = `There is no snapshot of it. Move ${dir} away: the state is made anew from the command log; a log that does not reach back to its begin is refused (STATE_BEHIND), then restore a backup.`;
  return new GranaryError(error.code, error.message, { ...error.detail, hint }, { cause: error });
}

function freeName(stem: string): string {
  let number = 1;
  while (existsSync(`${stem}-${number}`)) number += 1;
  return `${stem}-${number}`;
}
