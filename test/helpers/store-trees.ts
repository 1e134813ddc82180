import { type Digest, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { encodeTree, type TreeEntry } from "../../proto/tree.ts";
import type { GcOptions, GcResult } from "../../store/collect-garbage.ts";
import type { GcRoot } from "../../store/gc-root.ts";
import type { TaskWriter } from "../../store/task-writer.ts";
import { storeFiles } from "./store-disk.ts";
import { contentOf, type StoreFixture } from "./store-fixture.ts";

export interface StoredTree {
  readonly tree: Digest;
  readonly files: readonly Digest[];
}

/** Puts contents and their listing; the caller commits. */
export function writeTree(writer: TaskWriter, contents: readonly Uint8Array[]): StoredTree {
  for (const content of contents) writer.putBlob(content);
  const tree = writer.putBlob(encodeTree(entriesOf(contents)));
  return { tree, files: contents.map((content) => digestOf(content)) };
}

export async function putTree(
  fixture: StoreFixture,
  contents: readonly Uint8Array[],
  options: { heldBy?: string } = {},
): Promise<StoredTree> {
  const writer = fixture.task();
  const stored = writeTree(writer, contents);
  await fixture.store.commit(writer.finish(), options);
  return stored;
}

/** A run of GC without an undo period, unless it is said. */
export function collect(
  fixture: Pick<StoreFixture, "store">,
  trees: readonly { tree: Digest }[],
  options: Partial<GcOptions> = {},
): Promise<GcResult> {
  const roots: GcRoot[] = trees.map(({ tree }) => ({ digest: tree, kind: "tree" }));
  return fixture.store.collectGarbage({ roots: () => roots, graceMs: 0, ...options });
}

/** What `du` says of packs, big files and uploads. */
export function contentBytes(dir: string): number {
  return [...storeFiles(dir)].reduce((total, [, size]) => total + size, 0);
}

/** The contents of a numbered tree: one of its own, one that two share, one that all have, and sometimes a big one. */
export function contentsOfTree(number: number): { digest: Digest; bytes: Buffer }[] {
  const contents = [
    contentOf(`own ${number}`, 90_000),
    contentOf(`two ${number >> 1}`, 3_000),
    contentOf("all", 500),
  ];
  if (number % 4 === 1) contents.push(contentOf(`big ${number}`, LIMITS.packedBlobBytes + 1));
  return contents.map((bytes) => ({ digest: digestOf(bytes), bytes }));
}

/** The digest of the tree that {@link putTree} makes of {@link contentsOfTree}. */
export function treeOf(number: number): Digest {
  return digestOf(encodeTree(entriesOf(contentsOfTree(number).map(({ bytes }) => bytes))));
}

/** The listing that {@link writeTree} makes. */
export function entriesOf(contents: readonly Uint8Array[]): TreeEntry[] {
  return contents.map((content, at) => ({
    type: "file",
    path: `f${String(at).padStart(4, "0")}`,
    executable: false,
    digest: digestOf(content),
    size: content.byteLength,
  }));
}
