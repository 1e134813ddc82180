import { type Digest, digestFromHex, digestHex, digestOf } from "./digest.ts";
import { GranaryError } from "./errors.ts";

/**
 * The canonical tree (ruling 3): what a release consists of, independent of archive order, times, owners and format.
 * Entries are sorted by the bytes of their paths; directories are implied by their children, only empty ones are listed.
 */
export type TreeEntry =
  | {
      readonly type: "file";
      readonly path: string;
      readonly executable: boolean;
      readonly digest: Digest;
      readonly size: number;
    }
  | { readonly type: "symlink"; readonly path: string; readonly target: string }
  | { readonly type: "directory"; readonly path: string };

export const TREE_HEADER = "granary-tree/1\n";

/**
 * Canonical bytes of a tree. One line an entry behind the header, in path-byte order:
 * `f HEX SIZE PATH`, `x HEX SIZE PATH` (executable), `l PATH NUL TARGET`, `d PATH`. Paths cannot contain line feeds or NUL
 * (archive grammar), so the lines parse back without escapes.
 */
export function encodeTree(sorted: readonly TreeEntry[]): Buffer {
  const lines: string[] = [TREE_HEADER];
  for (const entry of sorted) lines.push(encodeEntry(entry));
  return Buffer.from(lines.join(""));
}

/** One line of {@link encodeTree}. */
export function encodeEntry(entry: TreeEntry): string {
  if (entry.type === "file") {
    return `${entry.executable ? "x" : "f"} ${digestHex(entry.digest)} ${entry.size} ${entry.path}\n`;
  }
  return entry.type === "symlink" ? `l ${entry.path}\0${entry.target}\n` : `d ${entry.path}\n`;
}

export function treeDigest(sorted: readonly TreeEntry[]): Digest {
  return digestOf(encodeTree(sorted));
}

/**
 * Parses stored canonical bytes, which their digest vouches for: lines have to be well-formed, order and names are not checked
 * again (a listing from outside goes through a TreeBuilder). @throws GranaryError STORE_CORRUPT
 */
export function parseTree(bytes: Uint8Array): TreeEntry[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  if (!text.startsWith(TREE_HEADER)) throw malformed("no header");
  const entries: TreeEntry[] = [];
  let start = TREE_HEADER.length;
  while (start < text.length) {
    const end = text.indexOf("\n", start);
    if (end < 0) throw malformed("unterminated line");
    entries.push(parseTreeLine(text, start, end));
    start = end + 1;
  }
  return entries;
}

/** The entry of one line, `end` at its line feed. @throws GranaryError STORE_CORRUPT */
export function parseTreeLine(text: string, start: number, end: number): TreeEntry {
  const kind = text[start];
  if (kind === "f" || kind === "x") {
    const space = text.indexOf(" ", start + 67);
    const size = Number(text.slice(start + 67, space));
    if (space < 0 || space > end || !Number.isSafeInteger(size) || String(size).length !== space - start - 67)
      throw malformed(text.slice(start, end));
    return {
      type: "file",
      path: text.slice(space + 1, end),
      executable: kind === "x",
      digest: digestFromHex(text.slice(start + 2, start + 66)),
      size,
    };
  }
  if (kind === "l") {
    const nul = text.indexOf("\0", start);
    if (nul < 0 || nul > end) throw malformed(text.slice(start, end));
    return { type: "symlink", path: text.slice(start + 2, nul), target: text.slice(nul + 1, end) };
  }
  if (kind === "d") return { type: "directory", path: text.slice(start + 2, end) };
  throw malformed(text.slice(start, end));
}

/** The error for a stored tree that is none. */
export function malformed(what: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `not a canonical tree: ${JSON.stringify(what.slice(0, 100))}`);
}

/** Sorts by UTF-8 bytes. UTF-16 order differs only when a surrogate meets U+E000..U+FFFF, so most pairs compare as strings. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : x - y;
  }
  return a.length - b.length;
}

export interface TreeSummary {
  readonly fileCount: number;
  readonly sizeBytes: number;
}

export function summarizeTree(entries: readonly TreeEntry[]): TreeSummary {
  let fileCount = 0;
  let sizeBytes = 0;
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    fileCount += 1;
    sizeBytes += entry.size;
  }
  return { fileCount, sizeBytes };
}
