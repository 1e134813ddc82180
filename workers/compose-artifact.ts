import { createHash, hash } from "node:crypto";
import { resolveBuild } from "../proto/build-kind.ts";
import { type Digest, digestFromHex } from "../proto/digest.ts";
import { composeImage, DEFAULT_PLATFORM, DEFAULT_USER, type Image, type ImageLayer } from "../proto/image.ts";
import { type KartaManifest, parseKartaToml } from "../proto/karta-toml.ts";
import { LAYER_ENCODER, layerPieces } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import type { FileEntry } from "../proto/listing.ts";
import type { ArtifactRecord } from "../proto/records.ts";
import { RECIPE_VERSION, splitTree, type TreePart } from "../proto/split-tree.ts";
import { encodeTree, summarizeTree, type TreeEntry } from "../proto/tree.ts";
import { GATHER_BYTES } from "../store/pack-gather.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import { buildLayer, freshFiles, type LayerPlan, planLayer, roughSize } from "./held-layer.ts";
import { HELD_LAYER_BYTES, type LayerMemory } from "./layer-memory.ts";
import type { TaskClock } from "./task-clock.ts";

export interface TreeContent {
  /** Sorted; the contents of all files are in the writer's store or were put by its task. */
  readonly entries: readonly TreeEntry[];
  /** The canonical bytes of `entries`, put by the task. */
  readonly tree: { readonly digest: Digest; readonly size: number };
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
  readonly heldLayers: LayerMemory;
  readonly imageBuilds: boolean;
  readonly clock: TaskClock;
  /** Called for every piece of a layer: hashing a large one is progress too. */
  readonly tick: () => void;
}

/**
 * From a tree whose contents are there to the artifact: layers, config, manifest. The same for archives and
 * directories, so that equal trees are equal images however they came.
 * @throws GranaryError MANIFEST_*, BUILDPACK_UNKNOWN, ARCHIVE_NAME_RESERVED, STORE_*
 */
export function composeArtifact(
  content: TreeContent,
  context: ComposeContext,
): { artifact: ArtifactRecord; layers: readonly ImageLayer[]; parts: KnownParts } {
  const { writer, imageBuilds, clock } = context;
  const { entries, tree, hasDockerfile } = content;
  const karta = content.karta === undefined ? undefined : parseKartaToml(content.karta);
  const build = resolveBuild({ hasDockerfile, karta, imageBuilds });
  clock.lap("tree");
  const { layers, parts } = composeLayers(entries, {
    ...context,
    tree: tree.digest,
    similar: content.similar,
  });
  const image = composeImage(recipeOf(tree.digest, karta), layers);
  writer.putBlob(image.configBytes);
  writer.putBlob(image.manifestBytes);
  clock.lap("image");
  const { fileCount, sizeBytes } = summarizeTree(entries);
  const warnings = [...content.warnings, ...(karta?.warnings ?? []), ...build.warnings];
  const artifact: ArtifactRecord = {
    ...artifactOf(image, karta),
    ...build,
    tree: tree.digest,
    tree_size: tree.size,
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
  const { writer, heldLayers, similar } = context;
  const parts = splitTree(entries);
  const wanted = parts.map((part): WantedLayer => {
    const subtree = parts.length === 1 ? context.tree : subtreeOf(part, context);
    return { part, subtree };
  });
  const layers = new Map<Digest, { digest: Digest; size: number }>();
  for (const { subtree } of wanted) {
    const known = writer.layer(subtree, LAYER_ENCODER);
    if (known !== undefined) layers.set(subtree, known);
    // It is used: what stays the same must not be what is forgotten first.
    heldLayers.get(subtree);
  }
  const isHeld = roughSize(entries) <= HELD_LAYER_BYTES;
  const unknown = wanted
    .filter(({ subtree }) => !layers.has(subtree))
    .map(({ part, subtree }): UnknownLayer => {
      const twin = similar?.get(partName(part))?.subtree;
      const plan = planLayer(part.entries, twin === undefined ? undefined : heldLayers.get(twin));
      return { plan, twin, subtree, fresh: freshFiles(plan) };
    });
  for (const group of groupsToGather(unknown)) {
    writer.gather(group.flatMap(({ fresh }) => fresh));
    for (const layer of group)
      layers.set(layer.subtree, isHeld ? holdLayer(layer, context) : streamLayer(layer, context));
  }
  return {
    layers: wanted.flatMap(({ part: { folder, slice }, subtree }) => {
      const layer = layers.get(subtree);
      return layer === undefined ? [] : [{ ...layer, folder, ...(slice === undefined ? {} : { slice }) }];
    }),
    parts: new Map(wanted.map((layer) => [partName(layer.part), layer])),
  };
}

interface UnknownLayer {
  readonly plan: LayerPlan;
  readonly twin: Digest | undefined;
  readonly subtree: Digest;
  readonly fresh: readonly FileEntry[];
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
function* groupsToGather(unknown: readonly UnknownLayer[]): Generator<UnknownLayer[], void, undefined> {
  let group: UnknownLayer[] = [];
  let bytes = 0;
  for (const layer of unknown) {
    const size = layer.fresh.reduce((sum, entry) => sum + entry.size, 0);
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

/** Makes a layer's bytes from those of its twin, whose place they take in memory. */
function holdLayer(
  { plan, twin, subtree }: UnknownLayer,
  context: LayerContext,
): { digest: Digest; size: number } {
  const { writer, heldLayers, tick } = context;
  const held = buildLayer(plan, heldLayers, (blob, into, at) => {
    writer.copyBlob(blob, into, at);
    tick();
  });
  heldLayers.set(subtree, held, twin);
  const digest = digestFromHex(hash("sha256", held.bytes, "hex"));
  tick();
  return addLayer({ digest, size: held.bytes.byteLength }, subtree, writer);
}

function streamLayer(
  { plan, subtree }: UnknownLayer,
  { writer, tick }: LayerContext,
): { digest: Digest; size: number } {
  const sha256 = new PieceHash();
  for (const piece of layerPieces(plan.entries)) {
    if (piece.kind === "bytes") sha256.bytes(piece.bytes);
    else if (piece.size > PIECES_BYTES) sha256.bytes(writer.received(piece) ?? writer.readBlob(piece.digest));
    else sha256.filled(piece.size, (into, at) => writer.copyBlob(piece, into, at));
    tick();
  }
  return addLayer(sha256.end(), subtree, writer);
}

function addLayer(
  layer: { digest: Digest; size: number },
  subtree: Digest,
  writer: TaskWriter,
): { digest: Digest; size: number } {
  writer.addLayer({ ...layer, encoder: LAYER_ENCODER, subtree });
  return layer;
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
