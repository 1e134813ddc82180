import { constants } from "node:os";
import { GranaryError } from "../../proto/errors.ts";
import { roomOf } from "../../store/disk-room.ts";

const FULL_ERRNOS: ReadonlySet<number> = new Set([constants.errno.ENOSPC, constants.errno.EDQUOT]);
/** With less than this LMDB has met the end of the disk, whatever it calls it: a write that came out short it calls EIO. */
const FULL_BYTES = 1024 * 1024;

/**
 * Runs what writes or opens a state. A failure of the disk is STORE_FULL, which passes, or STORE_IO, which does not: a sync that has failed
 * is not tried again. LMDB's own errors, which are no errno, stay as they are.
 * @throws GranaryError STORE_FULL, STORE_IO; what `body` throws
 */
export function onStateDisk<T>(dir: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const errno = error instanceof Error && "code" in error ? Number(error.code) : Number.NaN;
    if (error instanceof GranaryError || !(errno > 0)) throw error;
    const code = FULL_ERRNOS.has(errno) || isFull(dir) ? "STORE_FULL" : "STORE_IO";
    throw new GranaryError(
      code,
      `the state could not be written: ${String(error)}`,
      { errno, dir },
      { cause: error },
    );
  }
}

function isFull(dir: string): boolean {
  try {
    const { freeBytes, freeInodes } = roomOf(dir);
    return freeBytes < FULL_BYTES || freeInodes === 0;
  } catch {
    return false;
  }
}
