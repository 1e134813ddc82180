import { statfsSync } from "node:fs";
import { setInterval } from "node:timers";
import { GranaryError } from "../../proto/errors.ts";
import type { Log } from "../shared/log.ts";
import type { NatsServer } from "../shared/nats-server.ts";

const MIB = 1024 * 1024;
/** Left of the disk when uploads are refused: room for the log, the state and the index of what is under way. */
const UPLOAD_RESERVE_BYTES = 64 * MIB;
/** Left when every command is refused: what the log writes beside a command, and what a collection of garbage needs. */
const COMMAND_RESERVE_BYTES = 8 * MIB;
/** The same for small disks. */
const RESERVE_SHARE = 0.05;
/** So little that nats-server may have met the end of the disk. */
const FULL_BYTES = MIB;
const CHECK_INTERVAL_MS = 500;

export interface DiskGuard {
  /** @throws GranaryError STORE_FULL when there is no room for another upload */
  assertRoomForUpload(): void;
  /** @throws GranaryError STORE_FULL when not even a command has room */
  assertRoomForCommand(): void;
  close(): void;
}

/**
 * Keeps the command log off the end of the disk. A nats-server that meets it answers no append any more, also when there is room
 * again, until it is restarted (2.10 to 2.15): so commands are refused before, and when somebody else fills the disk all the
 * same, the embedded server is restarted once there is room.
 */
export function startDiskGuard(options: {
  dir: string;
  server: Pick<NatsServer, "restart"> | undefined;
  log: Log;
}): DiskGuard {
  const { dir, server, log } = options;
  let metEnd = false;
  const check = (): void => {
    const { free, reserve } = roomOf(dir);
    if (free < FULL_BYTES) metEnd = true;
    if (!metEnd || free < reserve(UPLOAD_RESERVE_BYTES)) return;
    metEnd = false;
    if (server === undefined) return;
    log.warn({ free_bytes: free }, "the disk was full and has room again: nats-server is restarted");
    server.restart().catch((error: unknown) => log.error({ err: error }, "nats-server did not stop"));
  };
  const timer = setInterval(check, CHECK_INTERVAL_MS);
  const assertRoom = (bytes: number, what: string): void => {
    const { free, reserve } = roomOf(dir);
    if (free >= reserve(bytes) && !metEnd) return;
    throw new GranaryError("STORE_FULL", `the disk of the data folder has no room for ${what}`, {
      free_bytes: free,
      reserve_bytes: reserve(bytes),
      retry_after_s: 5,
    });
  };
  return {
    assertRoomForUpload: () => assertRoom(UPLOAD_RESERVE_BYTES, "another upload"),
    assertRoomForCommand: () => assertRoom(COMMAND_RESERVE_BYTES, "another command"),
    close: () => clearInterval(timer),
  };
}

function roomOf(dir: string): { free: number; reserve: (bytes: number) => number } {
  const { bavail, blocks, bsize } = statfsSync(dir);
  return { free: bavail * bsize, reserve: (bytes) => Math.min(bytes, blocks * bsize * RESERVE_SHARE) };
}
