import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { GranaryError } from "../proto/errors.ts";
import { errnoOf, ifPresent } from "./fs.ts";
import { indexFileIn } from "./store-paths.ts";

/** lmdb's file format, version 2: two meta pages, and in each at these offsets: */
const META = { magic: 24, pageBytes: 48, lastPage: 144, transaction: 152, length: 160 } as const;
const MAGIC = 0xbeefc0de;
/** A walk of 2 s, or of all rows: 10^8 of them take minutes. */
const CHECK_TIMEOUT_MS = { some: 60_000, all: 30 * 60_000 } as const;

/**
 * Looks at the index before this process maps it: a truncated file kills the process that reads it with SIGBUS, a zeroed meta page
 * with SIGSEGV, and a service would do so again at every start. A child process walks the rows and dies in our place.
 *
 * @param options.extent none: the index was closed in order, only its size and meta pages are looked at (0.1 ms instead of 90 ms). some:
 *   2 s of a walk through the rows. all: it was not closed in order more than once in a row; perhaps that page kills who reads it
 * @throws GranaryError STORE_CORRUPT
 */
export function checkIndex(folder: string, options: { extent: "none" | "some" | "all" }): void {
  const look = ifPresent(() => lookAt(indexFileIn(folder)));
  if (look === "empty" || look === undefined) return;
  if (look === "damaged") throw damaged("its meta pages are not intact");
  if (options.extent === "none" && look === "plausible") return;
  const entry = fileURLToPath(new URL("./check-index-main.js", import.meta.url));
  const extent = look === "short" || options.extent === "all" ? "all" : "some";
  const child = spawnSync(process.execPath, [entry, folder, extent], {
    timeout: CHECK_TIMEOUT_MS[extent],
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (child.status === 0) return;
  if (errnoOf(child.error) === "ETIMEDOUT")
    throw new GranaryError(
      "STORE_CORRUPT",
      "the index takes too long to read; look at the disk, or rebuild it",
      {
        rebuild: true,
      },
    );
  const how = child.signal ?? child.stderr.toString().trim().split("\n").at(-1) ?? errnoOf(child.error);
  throw damaged(`reading it ended with ${how}`);
}

/** short: pages that the newest transaction knows of lie behind the end of the file; rarely harmless (pages never written). */
function lookAt(path: string): "empty" | "damaged" | "short" | "plausible" {
  const fd = fs.openSync(path, "r");
  try {
    const { size } = fs.fstatSync(fd);
    if (size === 0) return "empty";
    const first = Buffer.alloc(META.length);
    fs.readSync(fd, first, 0, META.length, 0);
    const pageBytes = first.readUInt32LE(META.pageBytes);
    const second = Buffer.alloc(META.length);
    fs.readSync(fd, second, 0, META.length, pageBytes);
    if (first.readUInt32LE(META.magic) !== MAGIC || second.readUInt32LE(META.magic) !== MAGIC)
      return "damaged";
    const newest =
      first.readBigUInt64LE(META.transaction) > second.readBigUInt64LE(META.transaction) ? first : second;
    return BigInt(size) < (newest.readBigUInt64LE(META.lastPage) + 1n) * BigInt(pageBytes)
      ? "short"
      : "plausible";
  } finally {
    fs.closeSync(fd);
  }
}

/** `unreadable`: there is nothing in it to be saved, so whoever opens the store may rebuild it without asking. */
function damaged(why: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `the index is damaged (${why}); rebuild it from the packs`, {
    rebuild: true,
    unreadable: true,
  });
}
