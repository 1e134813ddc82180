import { comparePaths, parseTree, parseTreeLine, type TreeEntry } from "./tree.ts";
import { firstLine } from "./tree-lines.ts";

/** A tree and where its lines lie, so that the next one can be read by what differs. */
export interface ReadTree {
  readonly bytes: Buffer;
  readonly entries: readonly TreeEntry[];
  /** Where each entry's line begins, and behind them where the last one ends. */
  readonly lines: Int32Array;
}

/** A tree that was read beside another one. */
export interface TreeBesideBase extends ReadTree {
  /** For each entry the number of the same line in the base, or -1. Such entries are the base's own objects. */
  readonly inBase: Int32Array;
  /** Both have the same paths in the same order, each of the same type, and the same links: only contents and modes differ. */
  readonly sameShape: boolean;
}

const LINE_FEED = 10;

/** {@link parseTree} that remembers where the lines are. @throws GranaryError STORE_CORRUPT */
export function readTree(bytes: Buffer): ReadTree {
  return { bytes, lines: linesOf(bytes), entries: parseTree(bytes) };
}

/**
 * Reads a tree of which most lines are those of `base`: 0.3 us a line instead of 1. Nothing is assumed of `bytes`, which may come
 * from anyone; of `base` only that it was read.
 * @throws GranaryError STORE_CORRUPT
 */
export function readTreeBeside(bytes: Buffer, base: ReadTree): TreeBesideBase {
  const lines = linesOf(bytes);
  const own = { bytes, lines };
  const count = lines.length - 1;
  const inBase = new Int32Array(count).fill(-1);
  const entries: TreeEntry[] = [];
  let sameShape = count === base.entries.length;
  let next = 0;
  const takeSame = (i: number): boolean => {
    const entry = base.entries[next];
    if (entry === undefined || !isSameLine(own, i, base, next)) return false;
    entries.push(entry);
    inBase[i] = next++;
    return true;
  };
  for (let i = 0; i < count; i++) {
    if (takeSame(i)) continue;
    const line = bytes.toString("utf8", lines[i], (lines[i + 1] ?? 0) - 1);
    const entry = parseTreeLine(line, 0, line.length);
    const passed = next;
    while (comparePaths(base.entries[next]?.path ?? entry.path, entry.path) < 0) next += 1;
    if (next > passed) sameShape = false;
    if (takeSame(i)) continue;
    entries.push(entry);
    const twin = base.entries[next];
    const isTwin = twin?.path === entry.path;
    sameShape &&= isTwin && twin.type === "file" && entry.type === "file";
    if (isTwin) next += 1;
  }
  return { bytes, entries, lines, inBase, sameShape };
}

type Lines = Pick<ReadTree, "bytes" | "lines">;

function isSameLine(a: Lines, i: number, b: Lines, k: number): boolean {
  const from = a.lines[i] ?? 0;
  const to = a.lines[i + 1] ?? 0;
  const start = b.lines[k] ?? 0;
  const end = b.lines[k + 1] ?? 0;
  return to - from === end - start && a.bytes.compare(b.bytes, start, end, from, to) === 0;
}

function linesOf(bytes: Buffer): Int32Array {
  const lines: number[] = [];
  let at = firstLine(bytes);
  for (; at < bytes.byteLength; at = bytes.indexOf(LINE_FEED, at) + 1) lines.push(at);
  lines.push(at);
  return Int32Array.from(lines);
}
