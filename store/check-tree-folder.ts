import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { digestHex } from "../proto/digest.ts";
import type { TreeEntry } from "../proto/tree.ts";
import { errnoOf } from "./fs.ts";
import { looksUntouched } from "./tree-folder.ts";

const CHUNK_BYTES = 256 * 1024;

/**
 * Reads every file of a folder again and compares it with a tree. Answers the first path that is not as the tree has it: changed,
 * missing or too much; undefined when all is well.
 * @param tick called for every entry
 */
export function checkTreeFolder(
  dir: string,
  entries: readonly TreeEntry[],
  tick: () => void = () => undefined,
): string | undefined {
  return treeFolderDamage(dir, entries, tick).next().value ?? undefined;
}

/** {@link checkTreeFolder} without reading: whether names, types, sizes, times and modes are the tree's. */
export function looksLikeTree(dir: string, entries: readonly TreeEntry[], tick: () => void): boolean {
  return treeFolderDamage(dir, entries, tick, { reads: false }).next().done === true;
}

/**
 * Every path of a folder that is not as a tree has it, see {@link checkTreeFolder}.
 * @param tick called for every entry, and with the bytes of every part of a file that was read
 */
export function* treeFolderDamage(
  dir: string,
  entries: readonly TreeEntry[],
  tick: (bytes: number) => void,
  { reads = true }: { reads?: boolean } = {},
): Generator<string, void, undefined> {
  const expected = new Map(entries.map((entry) => [entry.path, entry]));
  const folders = new Set([...expected.values()].flatMap(({ path, type }) => foldersOf(path, type)));
  const chunk = reads ? Buffer.allocUnsafeSlow(CHUNK_BYTES) : undefined;
  const walk = function* (folder: string): Generator<string, void, undefined> {
    for (const child of fs.readdirSync(join(dir, folder), { withFileTypes: true })) {
      tick(0);
      const path = folder === "" ? child.name : `${folder}/${child.name}`;
      const entry = expected.get(path);
      expected.delete(path);
      if (child.isDirectory() && folders.has(path)) yield* walk(path);
      else if (entry === undefined || !matches(join(dir, path), { entry, chunk, tick })) yield path;
    }
  };
  yield* walk("");
  yield* expected.keys();
}

interface Expected {
  readonly entry: TreeEntry;
  /** Undefined: the content is not read. */
  readonly chunk: Buffer | undefined;
  readonly tick: (bytes: number) => void;
}

function matches(path: string, { entry, chunk, tick }: Expected): boolean {
  if (entry.type === "directory") return false;
  if (entry.type === "symlink")
    return fs.lstatSync(path).isSymbolicLink() && fs.readlinkSync(path) === entry.target;
  if (!looksUntouched(path, entry)) return false;
  return chunk === undefined || hashOf(path, { chunk, tick }) === digestHex(entry.digest);
}

/** undefined when the disk does not give the file back. */
function hashOf(
  path: string,
  { chunk, tick }: { chunk: Buffer; tick: (bytes: number) => void },
): string | undefined {
  const hash = createHash("sha256");
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    for (let got = readChunk(fd, chunk); got !== 0; got = readChunk(fd, chunk)) {
      if (got === undefined) return undefined;
      tick(got);
      hash.update(chunk.subarray(0, got));
    }
    return hash.digest("hex");
  } finally {
    fs.closeSync(fd);
  }
}

function readChunk(fd: number, chunk: Buffer): number | undefined {
  try {
    return fs.readSync(fd, chunk);
  } catch (error) {
    if (errnoOf(error) === "EIO") return undefined;
    throw error;
  }
}

/** The folders that an entry stands for: those it lies in, and itself when it is an empty one. */
function foldersOf(path: string, type: TreeEntry["type"]): string[] {
  const segments = path.split("/");
  const depth = type === "directory" ? segments.length : segments.length - 1;
  return Array.from({ length: depth }, (_, at) => segments.slice(0, at + 1).join("/"));
}
