import type { CommitBatch } from "../proto/commit-batch.ts";
import { type Digest, digestOf } from "../proto/digest.ts";
import { LAYER_ENCODER } from "../proto/layers.ts";
import { type RecipeVersion, splitTree } from "../proto/split-tree.ts";
import { comparePaths, encodeTree, parseTree } from "../proto/tree.ts";
import { TASK_CELL } from "../proto/worker-tasks.ts";
import type { IndexView } from "./index-view.ts";
import type { TaskWriter } from "./task-writer.ts";
import type { ThreadStore } from "./thread-store.ts";

/** An artifact as far as its listings tell of each other. */
export interface ListedArtifact {
  readonly tree: Digest;
  /** In the order of the recipe's parts. */
  readonly layers: readonly { readonly digest: Digest; readonly size: number }[];
  readonly recipe: RecipeVersion;
}

/**
 * Makes damaged listings anew from those that are whole: a tree is the union of what its layers are made of, and a layer's listing
 * is a part of the tree. The digests prove both. A tree of one layer has one listing for both, and nothing to make it from.
 * What is damaged has to be marked so before; the batch is empty when nothing could be made.
 */
export function healListings(
  artifacts: readonly ListedArtifact[],
  { store, view }: { store: ThreadStore; view: IndexView },
): CommitBatch {
  const writer = store.beginTask(new SharedArrayBuffer(TASK_CELL.length * Float64Array.BYTES_PER_ELEMENT));
  try {
    for (const artifact of artifacts) heal(artifact, { writer, view });
    return writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

interface Healing {
  readonly writer: TaskWriter;
  readonly view: IndexView;
}

function heal({ tree, layers, recipe }: ListedArtifact, healing: Healing): void {
  const { writer, view } = healing;
  const bytes = readable(writer, tree) ?? joined(tree, layers, healing);
  if (bytes === undefined) return;
  writer.putBlob(bytes);
  const parts = splitTree(parseTree(bytes), recipe);
  if (parts.length !== layers.length) return;
  for (const [at, { entries }] of parts.entries()) {
    const layer = layers[at];
    const subtree = parts.length === 1 ? tree : writer.putBlob(encodeTree(entries));
    if (layer !== undefined && view.layer(layer.digest) === undefined)
      writer.addLayer({ ...layer, encoder: LAYER_ENCODER, subtree });
  }
}

/** The tree as its layers tell it, if that is what its digest says. */
function joined(
  tree: Digest,
  layers: ListedArtifact["layers"],
  { writer, view }: Healing,
): Buffer | undefined {
  const entries = [];
  for (const { digest } of layers) {
    const subtree = view.layer(digest)?.subtree;
    const listing = subtree === undefined ? undefined : readable(writer, subtree);
    if (listing === undefined) return undefined;
    entries.push(...parseTree(listing));
  }
  const bytes = encodeTree(entries.sort((a, b) => comparePaths(a.path, b.path)));
  return digestOf(bytes) === tree ? bytes : undefined;
}

function readable(writer: TaskWriter, digest: Digest): Buffer | undefined {
  try {
    return writer.has(digest) ? writer.readBlob(digest) : undefined;
  } catch {
    return undefined;
  }
}
