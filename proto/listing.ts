import { isDeepStrictEqual } from "node:util";
import { quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import type { ArchiveLimits } from "./limits.ts";
import { type ReadTree, readTree, readTreeBeside, type TreeBesideBase } from "./read-tree.ts";
import { encodeEntry, encodeTree, type TreeEntry } from "./tree.ts";
import { checkSize, TreeBuilder } from "./tree-builder.ts";

export type FileEntry = Extract<TreeEntry, { readonly type: "file" }>;

/** What a listing is checked against. */
export interface ListingRules {
  readonly limits: ArchiveLimits;
  readonly portableNames: boolean;
}

/** Rules that a listing passed, and what there was to say. */
export interface ListingCheck {
  readonly rules: ListingRules;
  readonly warnings: readonly string[];
}

/** A tree that a listing probably resembles; what both share need not be read again, nor pass again what it has passed. */
export interface ListingBase {
  readonly tree: ReadTree;
  readonly check: ListingCheck | undefined;
}

/** What a client sends before a directory's content: exactly the canonical bytes of its tree. */
export interface Listing extends ListingCheck {
  readonly tree: ReadTree;
  /** The numbers of the entries that bring each content first, in order: what a plan counts. */
  readonly distinct: readonly number[];
  /** For each entry the number of the same line in the base, or -1. */
  readonly inBase: Int32Array | undefined;
}

/**
 * Parses a listing from an untrusted client under every rule of the archive grammar. Accepts canonical bytes only: sorted, no
 * entry twice, nothing that a tree leaves out, no second spelling of a number or name.
 * @throws GranaryError LISTING_INVALID, ARCHIVE_*
 */
export function parseListing(bytes: Buffer, rules: ListingRules, base?: ListingBase): Listing {
  const beside = asListing(() => (base === undefined ? undefined : readTreeBeside(bytes, base.tree)));
  const tree = beside ?? asListing(() => readTree(bytes));
  const known = beside?.sameShape === true && isDeepStrictEqual(base?.check?.rules, rules);
  if (known) checkContents(beside, rules);
  const warnings = (known ? base?.check?.warnings : undefined) ?? checkTree(tree, rules);
  return { tree, rules, warnings, distinct: distinctFiles(tree.entries), inBase: beside?.inBase };
}

/** Every rule. */
function checkTree({ entries, bytes }: ReadTree, rules: ListingRules): readonly string[] {
  const builder = new TreeBuilder(rules);
  for (const entry of entries) {
    refuseNegativeSize(entry);
    builder.add(entry);
    if (entry.type === "file") builder.setDigest(entry.path, entry.digest);
  }
  const tree = builder.finish();
  if (Buffer.compare(encodeTree(tree.entries), bytes) !== 0) throw notCanonical();
  return tree.warnings;
}

/** The rules for what may differ between trees of one shape: size, all sizes together, and spelling. */
function checkContents({ bytes, lines, entries, inBase }: TreeBesideBase, { limits }: ListingRules): void {
  let sizeBytes = 0;
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    refuseNegativeSize(entry);
    sizeBytes += entry.size;
    checkSize(entry, sizeBytes, limits);
  }
  entries.forEach((entry, i) => {
    if (inBase[i] !== -1) return;
    const line = Buffer.from(encodeEntry(entry));
    if (bytes.compare(line, undefined, undefined, lines[i], lines[i + 1]) !== 0) throw notCanonical();
  });
}

function refuseNegativeSize(entry: TreeEntry): void {
  if (entry.type === "file" && entry.size < 0) throw invalid(`${quote(entry.path)} has a negative size`);
}

/** The files that bring each content first, in listing order. @throws GranaryError LISTING_INVALID on one content with two sizes */
export function distinctBlobs(entries: readonly TreeEntry[]): FileEntry[] {
  return distinctFiles(entries).map((i) => entries[i] as FileEntry);
}

/** The numbers of the entries that {@link distinctBlobs} answers. */
export function distinctFiles(entries: readonly TreeEntry[]): number[] {
  const sizes = new Map<string, number>();
  const distinct: number[] = [];
  entries.forEach((entry, i) => {
    if (entry.type !== "file") return;
    const size = sizes.get(entry.digest);
    if (size === undefined) {
      sizes.set(entry.digest, entry.size);
      distinct.push(i);
    } else if (size !== entry.size) throw invalid(`${entry.digest} has two sizes: ${size} and ${entry.size}`);
  });
  return distinct;
}

function asListing<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof GranaryError)) throw cause;
    throw new GranaryError("LISTING_INVALID", `the listing: ${cause.message}`, {}, { cause });
  }
}

function notCanonical(): GranaryError {
  return invalid("its bytes are not the canonical ones: sort it by path bytes and list nothing twice");
}

function invalid(why: string): GranaryError {
  return new GranaryError("LISTING_INVALID", `the listing: ${why}`);
}
