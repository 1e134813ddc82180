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
): { artifact: ArtifactRecord; layers: readonly ImageLayer[] } {
  const { writer, imageBuilds, clock } = context;
  const { entries, hasDockerfile } = content;
  const karta = content.karta === undefined ? undefined : parseKartaToml(content.karta);
  const build = resolveBuild({ hasDockerfile, karta, imageBuilds });
  const treeBytes = content.treeBytes ?? encodeTree(entries);
  const tree = writer.putBlob(treeBytes);
  clock.lap("tree");
  const layers = composeLayers(entries, { ...context, tree });
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
  return { artifact, layers };
}

interface LayerContext extends ComposeContext {
  readonly tree: Digest;
}

/** The layers of a tree; one whose subtree was seen before costs a look-up instead of a pass over its content. */
function composeLayers(entries: readonly TreeEntry[], context: LayerContext): ImageLayer[] {
  const parts = splitTree(entries);
  return parts.map((part) => {
    const subtree = parts.length === 1 ? context.tree : context.writer.putBlob(encodeTree(part.entries));
    const known = context.writer.layer(subtree, LAYER_ENCODER);
    const layer = known ?? computeLayer(part, subtree, context);
    const { folder, slice } = part;
    return { digest: layer.digest, size: layer.size, folder, ...(slice === undefined ? {} : { slice }) };
  });
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
