import { createHash } from "node:crypto";
import path from "node:path";
import { type BuildPlan, resolveBuild } from "../../../proto/build-kind.ts";
import { type Digest, digestFromHex } from "../../../proto/digest.ts";
import {
  composeImage,
  DEFAULT_PLATFORM,
  DEFAULT_USER,
  type Image,
  type ImageLayer,
  type Recipe,
} from "../../../proto/image.ts";
import { KARTA_FILE, type KartaManifest, parseKartaToml } from "../../../proto/karta-toml.ts";
import { layerPieces } from "../../../proto/layers.ts";
import { RECIPE_VERSION, type RecipeVersion, splitTree, type TreePart } from "../../../proto/split-tree.ts";
import { type TreeEntry, treeDigest } from "../../../proto/tree.ts";
import { hashEntries } from "./hash-entries.ts";
import { readFileChunks } from "./read-file-chunks.ts";
import type { WalkedDirectory } from "./walk-directory.ts";

/** What a directory becomes: the tree, the recipe and the image, all computed here. */
export interface ComputedImage {
  readonly tree: Digest;
  readonly entries: readonly TreeEntry[];
  readonly layers: readonly ImageLayer[];
  readonly recipe: Recipe;
  readonly image: Image;
  readonly karta: KartaManifest | undefined;
  readonly build: BuildPlan;
}

/**
 * Computes the image of a walked directory as the farm does: tree, layers, recipe, manifest (ruling 2). Nothing is sent and
 * no file is held in memory whole, karta.toml excepted.
 * @throws GranaryError MANIFEST_*, BUILDPACK_UNKNOWN, STATE_CONFLICT, USAGE
 */
export async function computeImage(
  walked: WalkedDirectory,
  signal: AbortSignal,
  recipeVersion: RecipeVersion = RECIPE_VERSION,
): Promise<ComputedImage> {
  const karta = await readKarta(walked);
  const entries = await hashEntries(walked, { signal });
  const layers: ImageLayer[] = [];
  const pathOf = new Map<Digest, string>();
  for (const entry of entries) if (entry.type === "file") pathOf.set(entry.digest, entry.path);
  for (const part of splitTree(entries, recipeVersion))
    layers.push(await layerOf(walked.root, part, pathOf, signal));
  const tree = treeDigest(entries);
  const hasDockerfile = entries.some((entry) => entry.path === "Dockerfile" && entry.type === "file");
  const recipe: Recipe = {
    recipe_version: recipeVersion,
    tree,
    platform: DEFAULT_PLATFORM,
    user: DEFAULT_USER,
    ...(karta?.entryPoint === undefined ? {} : { entry_point: karta.entryPoint }),
  };
  return {
    tree,
    entries,
    layers,
    recipe,
    image: composeImage(recipe, layers),
    karta,
    build: resolveBuild({ hasDockerfile, karta, imageBuilds: false }),
  };
}

/** karta.toml at the root of a walked directory. @throws GranaryError MANIFEST_*, BUILDPACK_UNKNOWN */
export async function readKarta(walked: WalkedDirectory): Promise<KartaManifest | undefined> {
  const entry = walked.entries.find((candidate) => candidate.path === KARTA_FILE);
  if (entry?.type !== "file") return undefined;
  const chunks: Buffer[] = [];
  const file = path.join(walked.root, KARTA_FILE);
  for await (const chunk of readFileChunks({ file, path: KARTA_FILE, sizeBytes: entry.size }))
    chunks.push(chunk);
  return parseKartaToml(Buffer.concat(chunks));
}

async function layerOf(
  root: string,
  part: TreePart,
  pathOf: ReadonlyMap<Digest, string>,
  signal: AbortSignal,
): Promise<ImageLayer> {
  const hash = createHash("sha256");
  let size = 0;
  for (const piece of layerPieces(part.entries)) {
    signal.throwIfAborted();
    if (piece.kind === "bytes") {
      hash.update(piece.bytes);
      size += piece.bytes.byteLength;
      continue;
    }
    const entryPath = pathOf.get(piece.digest) ?? "";
    for await (const chunk of readFileChunks({
      file: path.join(root, entryPath),
      path: entryPath,
      sizeBytes: piece.size,
    }))
      hash.update(chunk);
    size += piece.size;
  }
  const { folder, slice } = part;
  return {
    digest: digestFromHex(hash.digest("hex")),
    size,
    folder,
    ...(slice === undefined ? {} : { slice }),
  };
}
