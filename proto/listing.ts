import { quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import type { ArchiveLimits } from "./limits.ts";
import { encodeTree, parseTree, type TreeEntry } from "./tree.ts";
import { type BuiltTree, TreeBuilder } from "./tree-builder.ts";

/** What a client sends before a directory's content: exactly the canonical bytes of its tree. */
export interface Listing {
  readonly tree: BuiltTree;
  /** Contents by order of their first file in the listing, each once. */
  readonly blobs: readonly FileEntry[];
}

export type FileEntry = Extract<TreeEntry, { readonly type: "file" }>;

/**
 * Parses a listing from an untrusted client under every rule of the archive grammar. Accepts canonical bytes only: sorted, no
 * entry twice, nothing that a tree leaves out, no second spelling of a number or name.
 * @throws GranaryError LISTING_INVALID, ARCHIVE_*
 */
export function parseListing(
  bytes: Uint8Array,
  options: { limits: ArchiveLimits; portableNames: boolean },
): Listing {
  const entries = parseLines(bytes);
  const builder = new TreeBuilder(options);
  for (const entry of entries) {
    if (entry.type === "file" && entry.size < 0) throw invalid(`${quote(entry.path)} has a negative size`);
    builder.add(entry);
    if (entry.type === "file") builder.setDigest(entry.path, entry.digest);
  }
  const tree = builder.finish();
  if (Buffer.compare(encodeTree(tree.entries), bytes) !== 0)
    throw invalid("its bytes are not the canonical ones: sort it by path bytes and list nothing twice");
  return { tree, blobs: distinctBlobs(tree.entries) };
}

/** The files that bring each content first, in listing order. @throws GranaryError LISTING_INVALID on one content with two sizes */
export function distinctBlobs(entries: readonly TreeEntry[]): FileEntry[] {
  const sizes = new Map<string, number>();
  const blobs: FileEntry[] = [];
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    const size = sizes.get(entry.digest);
    if (size === undefined) {
      sizes.set(entry.digest, entry.size);
      blobs.push(entry);
    } else if (size !== entry.size) throw invalid(`${entry.digest} has two sizes: ${size} and ${entry.size}`);
  }
  return blobs;
}

function parseLines(bytes: Uint8Array): TreeEntry[] {
  try {
    return parseTree(bytes);
  } catch (cause) {
    if (!(cause instanceof GranaryError)) throw cause;
    throw new GranaryError("LISTING_INVALID", `the listing: ${cause.message}`, {}, { cause });
  }
}

function invalid(why: string): GranaryError {
  return new GranaryError("LISTING_INVALID", `the listing: ${why}`);
}
