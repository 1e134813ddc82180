import type { Digest } from "./digest.ts";
import type { TreeEntry } from "./tree.ts";

/**
 * How a part of a tree becomes an OCI layer (ruling 4): an uncompressed tar, computed. Encoder versions are only ever added, because
 * digests that were handed out depend on them. Which parts a tree has: split-tree.ts.
 */
export const LAYER_ENCODER = 1;
/** Where the tree lies in the image. Part of encoder 1. */
const ROOT = "app/";
const BLOCK = 512;
const CHECKSUM_AT = 148;
const SIZE_OCTAL_MAX = 0o77777777777;

/** A stretch of a layer: literal bytes, or the content of a blob. */
export type LayerPiece =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "blob"; readonly digest: Digest; readonly size: number };

/**
 * The pieces of a part's layer in order: sorted ustar entries, parents listed, directories ending in "/", numeric owner 0,
 * modes 0755 / 0644, mtime 0, pax only where ustar cannot hold a value, two zero blocks at the end.
 */
export function* layerPieces(part: Iterable<TreeEntry>): Generator<LayerPiece, void, undefined> {
  let before: string | undefined;
  for (const entry of part) {
    yield* entryPieces(entry, before);
    before = entry.path;
  }
  yield bytes(LAYER_END);
}

/**
 * One entry's share of {@link layerPieces}: the directories above it that `before`, the path of the entry before it, has not brought,
 * its header, its content. It depends on nothing else.
 */
export function* entryPieces(
  entry: TreeEntry,
  before: string | undefined,
): Generator<LayerPiece, void, undefined> {
  // Most entries lie beside the one before them: 0.8 us an entry less.
  if (before === undefined || !areNeighbours(before, entry.path)) {
    const parents = parentsOf(entry.path);
    const open = before === undefined ? [] : parentsOf(before);
    for (const parent of parents.slice(commonLength(parents, open)))
      yield bytes(header({ name: parent, type: "5", mode: 0o755, size: 0 }));
  }
  yield bytes(header(headerOf(entry)));
  if (entry.type !== "file") return;
  if (entry.size > 0) yield { kind: "blob", digest: entry.digest, size: entry.size };
  const padding = paddingOf(entry.size);
  if (padding > 0) yield bytes(ZEROS.subarray(0, padding));
}

/** Zeros behind a content of `size` bytes, up to the next block. */
export function paddingOf(size: number): number {
  return -size & (BLOCK - 1);
}

/** Whether both lie in the same directory. */
function areNeighbours(a: string, b: string): boolean {
  const end = a.lastIndexOf("/") + 1;
  return end === b.lastIndexOf("/") + 1 && (end === 0 || b.startsWith(a.slice(0, end)));
}

function headerOf(entry: TreeEntry): Header {
  const name = ROOT + entry.path;
  if (entry.type === "directory") return { name: `${name}/`, type: "5", mode: 0o755, size: 0 };
  if (entry.type === "symlink") return { name, type: "2", mode: 0o777, size: 0, link: entry.target };
  return { name, type: "0", mode: entry.executable ? 0o755 : 0o644, size: entry.size };
}

function commonLength(a: readonly string[], b: readonly string[]): number {
  let common = 0;
  while (common < a.length && common < b.length && a[common] === b[common]) common++;
  return common;
}

const ZEROS = new Uint8Array(2 * BLOCK);
/** Two zero blocks. */
export const LAYER_END: Uint8Array = ZEROS;

function bytes(value: Uint8Array): LayerPiece {
  return { kind: "bytes", bytes: value };
}

/** `app/`, `app/a/`, `app/a/b/` for the path `a/b/c`. */
function parentsOf(path: string): string[] {
  const parents = [ROOT];
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1))
    parents.push(`${ROOT}${path.slice(0, at)}/`);
  return parents;
}

export function layerSize(part: readonly TreeEntry[]): number {
  let size = 0;
  for (const piece of layerPieces(part)) size += piece.kind === "bytes" ? piece.bytes.byteLength : piece.size;
  return size;
}

interface Header {
  readonly name: string;
  readonly type: "0" | "2" | "5" | "x";
  readonly mode: number;
  readonly size: number;
  readonly link?: string;
}

/** POSIX.1-2017 pax, "ustar Interchange Format"; preceded by a pax header when name, link or size do not fit. */
function header(entry: Header): Uint8Array {
  const link = entry.link ?? "";
  const fits = entry.name.length <= NAME_BYTES && link.length <= NAME_BYTES && entry.size <= SIZE_OCTAL_MAX;
  if (fits && PLAIN.test(entry.name) && PLAIN.test(link))
    return ustarBlock(entry, (block) => {
      block.write(entry.name, 0, "latin1");
      if (link !== "") block.write(link, LINK_AT, "latin1");
    });
  return paxAndUstar(entry, Buffer.from(entry.name), Buffer.from(link));
}

const NAME_BYTES = 100;
const LINK_AT = 157;
/** One byte a character: 0.4 us less than through an encoder. */
const PLAIN = /^[ -~]*$/;

function paxAndUstar(entry: Header, name: Uint8Array, link: Uint8Array): Uint8Array {
  const block = ustarBlock(entry, (into) => {
    into.set(name.subarray(0, NAME_BYTES), 0);
    into.set(link.subarray(0, NAME_BYTES), LINK_AT);
  });
  const records: string[] = [];
  if (name.byteLength > NAME_BYTES) records.push(paxRecord("path", entry.name));
  if (link.byteLength > NAME_BYTES) records.push(paxRecord("linkpath", entry.link ?? ""));
  if (entry.size > SIZE_OCTAL_MAX) records.push(paxRecord("size", String(entry.size)));
  if (records.length === 0) return block;
  const body = Buffer.from(records.join(""));
  const padding = -body.byteLength & (BLOCK - 1);
  const pax = ustarBlock({ type: "x", mode: 0o644, size: body.byteLength }, (into) => {
    into.write("@PaxHeader", 0, "latin1");
  });
  return Buffer.concat([pax, body, ZEROS.subarray(0, padding), block]);
}

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/** What all headers share: owner, group and time 0, magic and version, device 0, and the checksum field as blanks. */
const COMMON = ((): Buffer => {
  const block = Buffer.alloc(BLOCK);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(0, 11), 136);
  block.write("        ", CHECKSUM_AT);
  block.write("ustar\x0000", 257);
  block.write(octal(0, 7), 329);
  block.write(octal(0, 7), 337);
  return block;
})();

/** A header without name, link and size, and the sum of its bytes. */
interface Template {
  readonly block: Buffer;
  readonly sum: number;
}

/** By type and mode: there are five. Only name, link and size are left to be written and added up. */
const templates = new Map<string, Map<number, Template>>();

function templateOf(type: Header["type"], mode: number): Template {
  const known = templates.get(type)?.get(mode);
  if (known !== undefined) return known;
  const block = Buffer.from(COMMON);
  block.write(octal(mode, 7), 100, "latin1");
  block.write(type, 156, "latin1");
  const template = { block, sum: sumOf(block, 0, BLOCK) };
  templates.set(type, (templates.get(type) ?? new Map()).set(mode, template));
  return template;
}

function sumOf(block: Buffer, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at < end; at++) sum += block[at] ?? 0;
  return sum;
}

function ustarBlock(
  { mode, size, type }: Pick<Header, "mode" | "size" | "type">,
  setNames: (block: Buffer) => void,
): Buffer {
  const template = templateOf(type, mode);
  const block = Buffer.allocUnsafe(BLOCK);
  block.set(template.block, 0);
  setNames(block);
  let sum = template.sum + sumOf(block, 0, NAME_BYTES);
  if (type === "2") sum += sumOf(block, LINK_AT, LINK_AT + NAME_BYTES);
  sum += writeOctal(block, SIZE_AT, 11, Math.min(size, SIZE_OCTAL_MAX));
  writeOctal(block, CHECKSUM_AT, 6, sum);
  block[CHECKSUM_AT + 6] = 0;
  return block;
}

/** @returns the sum of the digits' bytes */
function writeOctal(block: Buffer, at: number, digits: number, value: number): number {
  let rest = value;
  let sum = digits * ZERO;
  for (let i = at + digits - 1; i >= at; i--) {
    const digit = rest % 8;
    block[i] = ZERO + digit;
    sum += digit;
    rest = (rest - digit) / 8;
  }
  return sum;
}

const ZERO = 0x30;
const SIZE_AT = 124;

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
