import { createHash } from "node:crypto";
import { resolveBuild } from "../proto/build-kind.ts";
import { type Digest, digestFromHex } from "../proto/digest.ts";
import { composeImage, DEFAULT_PLATFORM, DEFAULT_USER, type Image, type ImageLayer } from "../proto/image.ts";
import { type KartaManifest, parseKartaToml } from "../proto/karta-toml.ts";
import { LAYER_ENCODER, layerPieces } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import type { ArtifactRecord } from "../proto/records.ts";
import { RECIPE_VERSION, splitTree, type TreePart } from "../proto/split-tree.ts";
import { encodeTree, summarizeTree, type TreeEntry } from "../proto/tree.ts";
import { GATHER_BYTES } from "../store/pack-gather.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { TaskClock } from "./task-clock.ts";

export interface TreeContent {
  /** Sorted; the contents of all files are in the writer's store or were put by its task. */
  readonly entries: readonly TreeEntry[];
  /** Canonical bytes of `entries`, where the caller has them already. */
  readonly treeBytes?: Uint8Array;
  /** karta.toml of the root. */
  readonly karta: Uint8Array | undefined;
  readonly hasDockerfile: boolean;
  readonly warnings: readonly string[];
  /** Parts of a similar tree: those that are the same need not be encoded again. */
  readonly similar?: KnownParts | undefined;
}

/** The parts of an image, by {@link partName}. */
export type KnownParts = ReadonlyMap<string, WantedLayer>;

/** A part of a tree, and the digest of its listing, by which its layer is found. */
interface WantedLayer {
  readonly part: TreePart;
  readonly subtree: Digest;
}

export interface ComposeContext {
  readonly writer: TaskWriter;
  readonly imageBuilds: boolean;
  readonly clock: TaskClock;
  /** Called for every piece of a layer: hashing a large one is progress too. */
  readonly tick: () => void;
}

/**
 * From a tree whose contents are there to the artifact: tree blob, layers, config, manifest. The same for archives and
 * directories, so that equal trees are equal images however they came.
 * @throws GranaryError MANIFEST_*, BUILDPACK_UNKNOWN, ARCHIVE_NAME_RESERVED, STORE_*
 */
export function composeArtifact(
  content: TreeContent,
  context: ComposeContext,
): { artifact: ArtifactRecord; layers: readonly ImageLayer[]; parts: KnownParts } {
  const { writer, imageBuilds, clock } = context;
  const { entries, hasDockerfile } = content;
  const karta = content.karta === undefined ? undefined : parseKartaToml(content.karta);
  const build = resolveBuild({ hasDockerfile, karta, imageBuilds });
  const treeBytes = content.treeBytes ?? encodeTree(entries);
  const tree = writer.putBlob(treeBytes);
  clock.lap("tree");
  const { layers, parts } = composeLayers(entries, { ...context, tree, similar: content.similar });
  const image = composeImage(recipeOf(tree, karta), layers);
  writer.putBlob(image.configBytes);
  writer.putBlob(image.manifestBytes);
  clock.lap("image");
  const { fileCount, sizeBytes } = summarizeTree(entries);
  const warnings = [...content.warnings, ...(karta?.warnings ?? []), ...build.warnings];
  const artifact: ArtifactRecord = {
    ...artifactOf(image, karta),
    ...build,
    tree,
    tree_size: treeBytes.byteLength,
    file_count: fileCount,
    size_bytes: sizeBytes,
    warnings: warnings.slice(0, LIMITS.warnings),
  };
  return { artifact, layers, parts };
}

interface LayerContext extends ComposeContext {
  readonly tree: Digest;
  readonly similar: KnownParts | undefined;
}

/** The layers of a tree; one whose subtree was seen before costs a look-up instead of a pass over its content. */
function composeLayers(
  entries: readonly TreeEntry[],
  context: LayerContext,
): { layers: ImageLayer[]; parts: KnownParts } {
  const { writer } = context;
  const parts = splitTree(entries);
  const wanted = parts.map((part): WantedLayer => {
    const subtree = parts.length === 1 ? context.tree : subtreeOf(part, context);
    return { part, subtree };
  });
  const layers = new Map<Digest, { digest: Digest; size: number }>();
  for (const { subtree } of wanted) {
    const known = writer.layer(subtree, LAYER_ENCODER);
    if (known !== undefined) layers.set(subtree, known);
  }
  const unknown = wanted.filter(({ subtree }) => !layers.has(subtree));
  for (const group of groupsToGather(unknown)) {
    writer.gather(group.flatMap(({ part }) => part.entries.filter((entry) => entry.type === "file")));
    for (const { part, subtree } of group) layers.set(subtree, computeLayer(part, subtree, context));
  }
  return {
    layers: wanted.flatMap(({ part: { folder, slice }, subtree }) => {
      const layer = layers.get(subtree);
      return layer === undefined ? [] : [{ ...layer, folder, ...(slice === undefined ? {} : { slice }) }];
    }),
    parts: new Map(wanted.map((layer) => [partName(layer.part), layer])),
  };
}

/** The digest of a part's listing, which is put unless it is there. */
function subtreeOf(part: TreePart, { writer, similar }: LayerContext): Digest {
  const twin = similar?.get(partName(part));
  const isSame =
    twin?.part.entries.length === part.entries.length &&
    twin.part.entries.every((entry, i) => entry === part.entries[i]);
  return isSame && writer.has(twin.subtree) ? twin.subtree : writer.putBlob(encodeTree(part.entries));
}

function partName({ folder, slice }: TreePart): string {
  return JSON.stringify([folder, slice?.number]);
}

/** Neighbours whose contents fit into one gathering; a larger part is a group of its own, of which the rest is read one by one. */
function* groupsToGather(wanted: readonly WantedLayer[]): Generator<WantedLayer[], void, undefined> {
  let group: WantedLayer[] = [];
  let bytes = 0;
  for (const layer of wanted) {
    const size = summarizeTree(layer.part.entries).sizeBytes;
    if (group.length > 0 && bytes + size > GATHER_BYTES) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(layer);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

function computeLayer(
  part: TreePart,
  subtree: Digest,
  context: LayerContext,
): { digest: Digest; size: number } {
  const hash = new PieceHash();
  for (const piece of layerPieces(part.entries)) {
    if (piece.kind === "bytes") hash.bytes(piece.bytes);
    else if (piece.size > PIECES_BYTES)
      hash.bytes(context.writer.received(piece) ?? context.writer.readBlob(piece.digest));
    else hash.filled(piece.size, (into, at) => context.writer.copyBlob(piece, into, at));
    context.tick();
  }
  const { digest, size } = hash.end();
  context.writer.addLayer({ digest, size, encoder: LAYER_ENCODER, subtree });
  return { digest, size };
}

/** Pieces are hashed by this many bytes: a call per piece would cost half as much as the hash itself. */
const PIECES_BYTES = 256 * 1024;
const pieces = Buffer.allocUnsafeSlow(PIECES_BYTES);

/** sha256 of many small pieces through one reused buffer; one at a time. */
class PieceHash {
  readonly #hash = createHash("sha256");
  #held = 0;
  #size = 0;

  bytes(piece: Uint8Array): void {
    if (piece.byteLength <= PIECES_BYTES) this.filled(piece.byteLength, (into, at) => into.set(piece, at));
    else {
      this.#flush();
      this.#hash.update(piece);
      this.#size += piece.byteLength;
    }
  }

  /** A piece of `size` bytes, at most {@link PIECES_BYTES}, that `fill` writes where it is told. */
  filled(size: number, fill: (into: Uint8Array, at: number) => void): void {
    if (this.#held + size > PIECES_BYTES) this.#flush();
    fill(pieces, this.#held);
    this.#held += size;
    this.#size += size;
  }

  end(): { digest: Digest; size: number } {
    this.#flush();
    return { digest: digestFromHex(this.#hash.digest("hex")), size: this.#size };
  }

  #flush(): void {
    if (this.#held > 0) this.#hash.update(pieces.subarray(0, this.#held));
    this.#held = 0;
  }
}

function recipeOf(tree: Digest, karta: KartaManifest | undefined): Parameters<typeof composeImage>[0] {
  return {
    recipe_version: RECIPE_VERSION,
    tree,
    platform: DEFAULT_PLATFORM,
    user: DEFAULT_USER,
    ...(karta?.entryPoint === undefined ? {} : { entry_point: karta.entryPoint }),
  };
}

function artifactOf(
  image: Image,
  karta: KartaManifest | undefined,
): Pick<
  ArtifactRecord,
  "image_digest" | "manifest" | "config" | "layers" | "recipe_version" | "platform" | "user" | "entry_point"
> {
  return {
    image_digest: image.manifest.digest,
    manifest: image.manifest,
    config: image.config,
    layers: image.layers,
    recipe_version: RECIPE_VERSION,
    platform: `${DEFAULT_PLATFORM.os}/${DEFAULT_PLATFORM.architecture}`,
    user: DEFAULT_USER,
    ...(karta?.entryPoint === undefined ? {} : { entry_point: karta.entryPoint }),
  };
}
