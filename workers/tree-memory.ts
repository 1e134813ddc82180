import { type Digest, digestHex } from "../proto/digest.ts";
import { distinctFiles, type FileEntry, type ListingCheck } from "../proto/listing.ts";
import { type ReadTree, readTree, readTreeBeside } from "../proto/read-tree.ts";
import { Lru } from "../store/lru.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { KnownParts } from "./compose-artifact.ts";
import { LayerMemory } from "./layer-memory.ts";

/** Entries of all trees that one thread remembers: at most about 400 bytes each, half of that where neighbours share them. Three large applications. */
const REMEMBERED_ENTRIES = 60_000;
const KEY_BYTES = 32;

/**
 * A tree that a thread has read, with what was found out about it: a project's next publish is mostly the same. None of it outlives a
 * change: where content lies is not kept, and that it is there holds for one epoch of the index.
 */
export class KnownTree {
  readonly tree: ReadTree;
  /** When it came from a client. */
  check: ListingCheck | undefined;
  /** When its image was composed. */
  parts: KnownParts | undefined;
  /** The digest of each entry's content; zeros where it has none. */
  readonly #keys: Buffer;
  /** 1 for each entry whose content the index had at {@link #epoch}. */
  readonly #present: Uint8Array;
  #epoch: number;
  #contents: Map<Digest, number> | undefined;
  #distinct: readonly number[] | undefined;

  /** @param base what `tree` was read beside, `inBase` as that answered */
  constructor(tree: ReadTree, base?: { readonly known: KnownTree; readonly inBase: Int32Array }) {
    const count = tree.entries.length;
    this.tree = tree;
    this.#keys = Buffer.alloc(count * KEY_BYTES);
    this.#present = new Uint8Array(count);
    this.#epoch = base === undefined ? 0 : base.known.#epoch;
    for (let i = 0; i < count; i++) {
      const from = base?.inBase[i] ?? -1;
      if (base === undefined || from < 0) {
        const entry = tree.entries[i];
        if (entry?.type === "file")
          this.#keys.write(digestHex(entry.digest), i * KEY_BYTES, KEY_BYTES, "hex");
        continue;
      }
      base.known.#keys.copy(this.#keys, i * KEY_BYTES, from * KEY_BYTES, (from + 1) * KEY_BYTES);
      this.#present[i] = base.known.#present[from] ?? 0;
    }
  }

  /**
   * Makes the task rely on what the index is known to have. Content leaves the index in no other way than with a new epoch, so what
   * was found in this epoch need not be looked up again.
   */
  relyOnFound(writer: TaskWriter): void {
    if (writer.epoch !== this.#epoch) {
      this.#epoch = writer.epoch;
      this.#present.fill(0);
    }
    const count = this.#present.length;
    for (let i = 0; i < count; i++) {
      const first = i;
      while (this.#present[i] === 1) i += 1;
      if (i > first) writer.relyOn(this.#keys.subarray(first * KEY_BYTES, i * KEY_BYTES));
    }
  }

  /** Whether the index has the content of entry `i`, after {@link relyOnFound}; then the task relies on it. */
  hasContent(i: number, writer: TaskWriter): boolean {
    if (this.#present[i] === 1) return true;
    const entry = this.tree.entries[i];
    if (entry?.type !== "file" || !writer.has(entry.digest)) return false;
    // What only this task has is gone when the task fails.
    if (!writer.brings(entry.digest)) this.#present[i] = 1;
    return true;
  }

  /** Its contents with their sizes. */
  get contents(): ReadonlyMap<Digest, number> {
    if (this.#contents === undefined) {
      const contents = new Map<Digest, number>();
      for (const entry of this.tree.entries)
        if (entry.type === "file") contents.set(entry.digest, entry.size);
      this.#contents = contents;
    }
    return this.#contents;
  }

  /** The numbers of the entries that bring each content first. */
  get distinct(): readonly number[] {
    this.#distinct ??= distinctFiles(this.tree.entries);
    return this.#distinct;
  }

  set distinct(numbers: readonly number[]) {
    this.#distinct = numbers;
  }
}

/** The trees and layers that one thread used last, all of one store. */
export class TreeMemory {
  readonly layers = new LayerMemory();
  readonly #known = new Lru<Digest, KnownTree>(REMEMBERED_ENTRIES, ({ tree }) => tree.entries.length);

  get(digest: Digest): KnownTree | undefined {
    return this.#known.get(digest);
  }

  add(digest: Digest, known: KnownTree): KnownTree {
    this.#known.set(digest, known);
    return known;
  }

  /** The first of `digests` that is remembered, and of which `which` holds. */
  first(digests: readonly Digest[], which = (_: KnownTree): boolean => true): KnownTree | undefined {
    for (const digest of digests) {
      const known = this.#known.get(digest);
      if (known !== undefined && which(known)) return known;
    }
    return undefined;
  }

  /** The tree of that digest, read where it is not remembered; beside one of `others`, to which it is probably similar. */
  take(digest: Digest, others: readonly Digest[], read: () => Buffer): KnownTree {
    const known = this.get(digest);
    if (known !== undefined) return known;
    const bytes = read();
    const base = this.first(others);
    if (base === undefined) return this.add(digest, new KnownTree(readTree(bytes)));
    const beside = readTreeBeside(bytes, base.tree);
    return this.add(digest, new KnownTree(beside, { known: base, inBase: beside.inBase }));
  }

  /** Which of `wanted` is in none of `trees`, which are looked at newest first and only as far as needed. */
  missingIn(
    wanted: readonly FileEntry[],
    trees: readonly Digest[],
    read: (tree: Digest) => Buffer,
  ): ReadonlySet<FileEntry> {
    let missing = wanted;
    for (const tree of trees) {
      if (missing.length === 0) break;
      const { contents } = this.take(tree, trees, () => read(tree));
      missing = missing.filter(({ digest, size }) => contents.get(digest) !== size);
    }
    return new Set(missing);
  }
}
