import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setInterval } from "node:timers";
import { GranaryError } from "../../proto/errors.ts";
import {
  COMMAND_RESERVE,
  CONTENT_RESERVE,
  lackOf,
  noRoom,
  type Reserve,
  type Room,
  roomOf,
} from "../../store/disk-room.ts";
import type { Log } from "../shared/log.ts";
import type { NatsServer } from "../shared/nats-server.ts";

const MIB = 1024 * 1024;
/** So little that nats-server may have met the end of the disk. */
const FULL_BYTES = MIB;
const FULL_INODES = 16;
const CHECK_INTERVAL_MS = 500;

export interface DiskGuard {
  /** Whether the data folder could be asked for its room when it was last tried. */
  readonly isThere: boolean;
  /** @throws GranaryError STORE_FULL when there is no room for another upload of so many bytes, STORE_IO when nobody can tell */
  assertRoomForUpload(bytes?: number): void;
  /** @throws GranaryError STORE_FULL when not even a command has room, STORE_IO when nobody can tell */
  assertRoomForCommand(): void;
  /** Finds out whether the disk still takes what is written, as when a command got no answer. */
  probe(): void;
  /** What a probe failed with: the process has to end. */
  readonly failed: GranaryError | undefined;
  close(): void;
}

/**
 * Keeps the command log off the end of the disk. A nats-server that meets it answers no append any more, also when there is room
 * again, until it is restarted (2.10 to 2.15): so commands are refused before, and when somebody else fills the disk all the
 * same, the embedded server is restarted once there is room. One whose disk has failed says nothing at all (2.15): that is asked of the
 * disk itself.
 */
export function startDiskGuard(options: {
  dir: string;
  server: Pick<NatsServer, "restart"> | undefined;
  /** Where its log lies, which may be a disk of its own; `dir` when absent. */
  logDir?: string;
  /** Whether something that needs the disk does not answer. */
  isSuspect(): boolean;
  log: Log;
}): DiskGuard {
  const { dir, server, logDir = dir, isSuspect, log } = options;
  let metEnd = false;
  let isLost = false;
  let isRestarting = false;
  const restart = async (freeBytes: number): Promise<void> => {
    if (server === undefined) return;
    log.warn({ free_bytes: freeBytes }, "the disk was full and has room again: nats-server is restarted");
    await server.restart().catch((error: unknown) => log.error({ err: error }, "nats-server did not stop"));
  };
  const check = (): void => {
    if (isSuspect()) void probe();
    let room: Room;
    try {
      room = roomOf(dir);
    } catch (error) {
      // Whether the farm can go on without its data folder is found out by those who use it.
      if (!isLost) log.error({ err: error }, "the data folder is gone, or its disk");
      isLost = true;
      return;
    }
    isLost = false;
    if (room.freeBytes < FULL_BYTES || room.freeInodes < FULL_INODES) metEnd = true;
    if (!metEnd || isRestarting || lackOf(room, CONTENT_RESERVE) !== undefined) return;
    isRestarting = true;
    // Until it has stopped a command could still be taken, and the next would meet the restart.
    void restart(room.freeBytes).finally(() => {
      metEnd = false;
      isRestarting = false;
    });
  };
  const timer = setInterval(check, CHECK_INTERVAL_MS);
  let failed: GranaryError | undefined;
  let probing = false;
  const probe = async (): Promise<void> => {
    if (probing || failed !== undefined) return;
    probing = true;
    const errno = await writeSynced(join(logDir, PROBE_FILE));
    probing = false;
    if (errno !== undefined && DEAD_ERRNOS.has(errno))
      failed = new GranaryError("STORE_IO", `the disk of the data folder takes no writes: ${errno}`, {
        errno,
      });
  };
  const assertRoom = (reserve: Reserve, what: string, bytes = 0): void => {
    const room = roomOf(dir);
    const lack = lackOf({ ...room, freeBytes: room.freeBytes - bytes }, reserve);
    if (lack !== undefined || metEnd) throw noRoom(room, reserve, { what, lack });
  };
  return {
    get isThere() {
      return !isLost;
    },
    assertRoomForUpload: (bytes = 0) =>
      assertRoom(CONTENT_RESERVE, bytes === 0 ? "another upload" : `an upload of ${bytes} bytes`, bytes),
    assertRoomForCommand: () => assertRoom(COMMAND_RESERVE, "another command"),
    probe: () => void probe(),
    get failed() {
      return failed;
    },
    close: () => clearInterval(timer),
  };
}

const PROBE_FILE = "disk.probe";
/** Of a disk that will not come back to this process: one that is full may. */
const DEAD_ERRNOS: ReadonlySet<string> = new Set(["EIO", "EROFS", "ENXIO", "ENODEV", "ESHUTDOWN"]);

/** Writes a small file down to the disk and removes it. @returns the errno of what failed */
async function writeSynced(file: string): Promise<string | undefined> {
  try {
    await writeFile(file, "probe", { flush: true });
    await rm(file, { force: true });
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
