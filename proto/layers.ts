import type { Digest } from "./digest.ts";
import { quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import type { TreeEntry } from "./tree.ts";

/**
 * How a tree becomes OCI layers (ruling 4). Layers are uncompressed tars computed from a part of the tree; encoder
 * versions are only ever added, because digests that were handed out depend on them.
 */
export const LAYER_ENCODER = 1;
/** Where the tree lies in the image. Part of encoder 1. */
const ROOT = "app/";
const DEPENDENCY_FOLDERS: ReadonlySet<string> = new Set(["node_modules", "site-packages", "vendor"]);
const BLOCK = 512;
const SIZE_OCTAL_MAX = 0o77777777777;

/** One layer's share of the tree: `folder` is the outermost dependency folder, `undefined` the rest of the application. */
export interface TreePart {
  readonly folder: string | undefined;
  /** Sorted by path bytes; paths are those of the whole tree. */
  readonly entries: readonly TreeEntry[];
}

/**
 * Splits a tree into parts: each outermost dependency folder is one, ordered by path, the application comes last. Past
 * {@link LIMITS.dependencyLayers} folders all of them share one part, named "".
 *
 * @throws GranaryError ARCHIVE_NAME_RESERVED on names that OCI layers use for deletions
 */
export function splitTree(entries: readonly TreeEntry[]): TreePart[] {
  const application: TreeEntry[] = [];
  const folders = new Map<string, TreeEntry[]>();
  for (const entry of entries) {
    refuseWhiteout(entry.path);
    const folder = dependencyFolder(entry.path);
    if (folder === undefined) application.push(entry);
    else {
      const list = folders.get(folder);
      if (list === undefined) folders.set(folder, [entry]);
      else list.push(entry);
    }
  }
  const parts: TreePart[] = [...folders].map(([folder, list]) => ({ folder, entries: list }));
  const bounded = parts.length > LIMITS.dependencyLayers ? [mergeParts(entries)] : parts;
  return application.length > 0 || bounded.length === 0
    ? [...bounded, { folder: undefined, entries: application }]
    : bounded;
}

function mergeParts(entries: readonly TreeEntry[]): TreePart {
  return { folder: "", entries: entries.filter((entry) => dependencyFolder(entry.path) !== undefined) };
}

function dependencyFolder(path: string): string | undefined {
  let start = 0;
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", start)) {
    if (DEPENDENCY_FOLDERS.has(path.slice(start, end))) return path.slice(0, end);
    start = end + 1;
  }
  return undefined;
}

/** OCI image-spec, layer.md#whiteouts: a `.wh.` name in a layer deletes; such a file could not be pulled back. */
function refuseWhiteout(path: string): void {
  if (!path.startsWith(".wh.") && !path.includes("/.wh.")) return;
  throw new GranaryError(
    "ARCHIVE_NAME_RESERVED",
    `${quote(path)}: names beginning with ".wh." mean deletions in OCI layers`,
    { path },
  );
}

/** A stretch of a layer: literal bytes, or the content of a blob. */
export type LayerPiece =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "blob"; readonly digest: Digest; readonly size: number };

/**
 * The pieces of a part's layer in order: sorted ustar entries, parents listed, directories ending in "/", numeric owner 0,
 * modes 0755 / 0644, mtime 0, pax only where ustar cannot hold a value, two zero blocks at the end.
 */
export function* layerPieces(part: readonly TreeEntry[]): Generator<LayerPiece, void, undefined> {
  let open: string[] = [];
  for (const entry of part) {
    const parents = parentsOf(entry.path);
    let common = 0;
    while (common < parents.length && common < open.length && parents[common] === open[common]) common++;
    for (const parent of parents.slice(common))
      yield bytes(header({ name: `${parent}`, type: "5", mode: 0o755, size: 0 }));
    open = parents;
    if (entry.type === "directory") {
      yield bytes(header({ name: `${ROOT}${entry.path}/`, type: "5", mode: 0o755, size: 0 }));
    } else if (entry.type === "symlink") {
      yield bytes(header({ name: ROOT + entry.path, type: "2", mode: 0o777, size: 0, link: entry.target }));
    } else {
      yield bytes(
        header({
          name: ROOT + entry.path,
          type: "0",
          mode: entry.executable ? 0o755 : 0o644,
          size: entry.size,
        }),
      );
      if (entry.size > 0) yield { kind: "blob", digest: entry.digest, size: entry.size };
      const padding = -entry.size & (BLOCK - 1);
      if (padding > 0) yield bytes(ZEROS.subarray(0, padding));
    }
  }
  yield bytes(ZEROS);
}

const ZEROS = new Uint8Array(2 * BLOCK);

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
  const name = Buffer.from(entry.name);
  const link = Buffer.from(entry.link ?? "");
  const records: string[] = [];
  if (name.byteLength > 100) records.push(paxRecord("path", entry.name));
  if (link.byteLength > 100) records.push(paxRecord("linkpath", entry.link ?? ""));
  if (entry.size > SIZE_OCTAL_MAX) records.push(paxRecord("size", String(entry.size)));
  if (records.length === 0) return ustarBlock(entry, name, link);
  const body = Buffer.from(records.join(""));
  const padding = -body.byteLength & (BLOCK - 1);
  const pax = ustarBlock(
    { name: "pax", type: "x", mode: 0o644, size: body.byteLength },
    Buffer.from("@PaxHeader"),
    Buffer.alloc(0),
  );
  return Buffer.concat([
    pax,
    body,
    ZEROS.subarray(0, padding),
    ustarBlock(entry, name.subarray(0, 100), link.subarray(0, 100)),
  ]);
}

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (String(length).length !== String(rest).length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function ustarBlock(entry: Header, name: Uint8Array, link: Uint8Array): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.set(name, 0);
  block.write(octal(entry.mode, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(Math.min(entry.size, SIZE_OCTAL_MAX), 11), 124);
  block.write(octal(0, 11), 136);
  block.write("        ", 148);
  block.write(entry.type, 156);
  block.set(link, 157);
  block.write("ustar\x0000", 257);
  block.write(octal(0, 7), 329);
  block.write(octal(0, 7), 337);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
