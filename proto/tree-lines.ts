import { type Digest, digestHex } from "./digest.ts";
import { malformed, parseTreeLine, TREE_HEADER, type TreeEntry } from "./tree.ts";

/**
 * A canonical tree as its stored bytes, looked at line by line: who wants a few of 200,000 entries need not make objects of all of
 * them. The bytes' digest vouches for them, as for `parseTree`.
 */
export interface TreeLine {
  readonly start: number;
  /** At the line feed. */
  readonly end: number;
  readonly pathStart: number;
  readonly pathEnd: number;
}

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const NUL = 0;
const [DIRECTORY, LINK] = [0x64, 0x6c];
/** Of `f HEX SIZE`: where the size begins. */
const SIZE_AT = 67;

/** Where the first line begins. @throws GranaryError STORE_CORRUPT when the bytes are no tree */
export function firstLine(bytes: Buffer): number {
  const { length } = TREE_HEADER;
  if (bytes.toString("latin1", 0, length) !== TREE_HEADER) throw malformed("no header");
  if (bytes.byteLength > length && bytes[bytes.byteLength - 1] !== LINE_FEED)
    throw malformed("unterminated line");
  return length;
}

/** The line that begins at `start`, which has to be the beginning of one. @throws GranaryError STORE_CORRUPT */
export function lineAt(bytes: Buffer, start: number): TreeLine {
  const end = bytes.indexOf(LINE_FEED, start);
  const kind = bytes[start];
  if (kind === DIRECTORY) return { start, end, pathStart: start + 2, pathEnd: end };
  const mark = kind === LINK ? bytes.indexOf(NUL, start) : bytes.indexOf(SPACE, start + SIZE_AT);
  if (mark < 0 || mark > end) throw malformed(bytes.toString("utf8", start, end));
  return kind === LINK
    ? { start, end, pathStart: start + 2, pathEnd: mark }
    : { start, end, pathStart: mark + 1, pathEnd: end };
}

/** @throws GranaryError STORE_CORRUPT */
export function entryOf(bytes: Buffer, { start, end }: TreeLine): TreeEntry {
  const text = bytes.toString("utf8", start, end);
  return parseTreeLine(text, 0, text.length);
}

/** The entries from a line on. @throws GranaryError STORE_CORRUPT */
export function* treeEntries(bytes: Buffer, from = firstLine(bytes)): Generator<TreeEntry, void, undefined> {
  for (let start = from; start < bytes.byteLength; ) {
    const line = lineAt(bytes, start);
    yield entryOf(bytes, line);
    start = line.end + 1;
  }
}

/** Where the first line behind a path begins, whether the path is there or not: a binary search. @throws GranaryError STORE_CORRUPT */
export function lineBehind(bytes: Buffer, path: Buffer): number {
  let low = firstLine(bytes);
  let high = bytes.byteLength;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const line = lineAt(bytes, Math.max(low, bytes.lastIndexOf(LINE_FEED, middle - 1) + 1));
    if (bytes.compare(path, 0, path.byteLength, line.pathStart, line.pathEnd) <= 0) low = line.end + 1;
    else high = line.start;
  }
  return low;
}

/** The first file with a content, by path; found as text, which takes 1 ms for 50,000 entries. */
export function findFile(bytes: Buffer, digest: Digest): TreeEntry | undefined {
  const places = ["f", "x"].map((kind) => bytes.indexOf(`\n${kind} ${digestHex(digest)} `, 0, "latin1"));
  const found = places.filter((place) => place >= 0);
  return found.length === 0 ? undefined : entryOf(bytes, lineAt(bytes, Math.min(...found) + 1));
}
