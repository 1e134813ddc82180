import { type StatsFs, statfsSync } from "node:fs";
import { GranaryError } from "../proto/errors.ts";

const MIB = 1024 * 1024;
/** The same for small disks. */
const RESERVE_SHARE = 0.05;

/** What has to be left of a disk, in bytes and in inodes. */
export interface Reserve {
  readonly bytes: number;
  readonly inodes: number;
}

/**
 * Left when content is refused: room for the log, the state and the index of what is under way; a publish that is received, and a
 * nats-server that begins a block or a snapshot, make files.
 */
export const CONTENT_RESERVE: Reserve = { bytes: 64 * MIB, inodes: 2_048 };
/** Left when every command is refused: what the log writes beside a command, and what a collection of garbage needs. */
export const COMMAND_RESERVE: Reserve = { bytes: 8 * MIB, inodes: 256 };

export interface Room {
  readonly bytes: number;
  readonly freeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

/** @throws GranaryError STORE_FULL when less than the reserve is left, STORE_IO when nobody can tell */
export function assertRoomOf(room: Room, reserve: Reserve, what: string): void {
  const lack = lackOf(room, reserve);
  if (lack !== undefined) throw noRoom(room, reserve, { what, lack });
}

export function noRoom(
  room: Room,
  reserve: Reserve,
  { what, lack }: { what: string; lack: keyof Reserve | undefined },
): GranaryError {
  const of = lack === "inodes" ? "no inodes left" : "no room";
  return new GranaryError("STORE_FULL", `the disk of the data folder has ${of} for ${what}`, {
    free_bytes: room.freeBytes,
    ...(lack === "inodes" && { free_inodes: room.freeInodes }),
    reserve_bytes: Math.min(reserve.bytes, room.bytes * RESERVE_SHARE),
    retry_after_s: 5,
  });
}

export function lackOf(
  { bytes, freeBytes, inodes, freeInodes }: Room,
  reserve: Reserve,
): keyof Reserve | undefined {
  if (freeBytes < Math.min(reserve.bytes, bytes * RESERVE_SHARE)) return "bytes";
  return freeInodes < Math.min(reserve.inodes, inodes * RESERVE_SHARE) ? "inodes" : undefined;
}

/** @throws GranaryError STORE_IO. File systems that make inodes as they are needed say that they have none. */
export function roomOf(dir: string): Room {
  const { bavail, blocks, bsize, files, ffree } = statfsOf(dir);
  return {
    bytes: blocks * bsize,
    freeBytes: bavail * bsize,
    inodes: files,
    freeInodes: files === 0 ? Number.POSITIVE_INFINITY : ffree,
  };
}

function statfsOf(dir: string): StatsFs {
  try {
    return statfsSync(dir);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GranaryError("STORE_IO", `the data folder cannot be asked for its room: ${why}`, {}, { cause });
  }
}
