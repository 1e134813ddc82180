import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { digestHex } from "../proto/digest.ts";
import type { TreeEntry } from "../proto/tree.ts";
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
  const expected = new Map(entries.map((entry) => [entry.path, entry]));
  const folders = new Set([...expected.values()].flatMap(({ path, type }) => foldersOf(path, type)));
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  const walk = (folder: string): string | undefined => {
    for (const child of fs.readdirSync(join(dir, folder), { withFileTypes: true })) {
      tick();
      const path = folder === "" ? child.name : `${folder}/${child.name}`;
      const entry = expected.get(path);
      expected.delete(path);
      if (child.isDirectory() && folders.has(path)) {
        const bad = walk(path);
        if (bad !== undefined) return bad;
      } else if (entry === undefined || !matches(join(dir, path), entry, chunk)) return path;
    }
    return undefined;
  };
  return walk("") ?? expected.keys().next().value;
}

function matches(path: string, entry: TreeEntry, chunk: Buffer): boolean {
  if (entry.type === "directory") return false;
  if (entry.type === "symlink")
    return fs.lstatSync(path).isSymbolicLink() && fs.readlinkSync(path) === entry.target;
  return looksUntouched(path, entry) && hashOf(path, chunk) === digestHex(entry.digest);
}

function hashOf(path: string, chunk: Buffer): string {
  const hash = createHash("sha256");
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    for (let got = fs.readSync(fd, chunk); got > 0; got = fs.readSync(fd, chunk))
      hash.update(chunk.subarray(0, got));
    return hash.digest("hex");
  } finally {
    fs.closeSync(fd);
  }
}

/** The folders that an entry stands for: those it lies in, and itself when it is an empty one. */
function foldersOf(path: string, type: TreeEntry["type"]): string[] {
  const segments = path.split("/");
  const depth = type === "directory" ? segments.length : segments.length - 1;
  return Array.from({ length: depth }, (_, at) => segments.slice(0, at + 1).join("/"));
}
