import { encodeCanonicalJson } from "./canonical-json.ts";
import { type Descriptor, type Digest, digestOf } from "./digest.ts";
import type { RecipeVersion, TreePart } from "./split-tree.ts";

/**
 * The recipe and the image it determines (ruling 2). `image_digest` is the digest of the OCI manifest and a pure function of
 * the recipe: no label, time, commit, host or registry name is in it.
 * Formats: OCI image-spec 1.1, manifest.md and config.md; layers are uncompressed, so their digest is also their diff_id.
 */
export const MEDIA_TYPES = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
} as const;

export const DEFAULT_PLATFORM: Platform = { os: "linux", architecture: "amd64" };
/** The conventional "nonroot" account: nothing in an image that we compose needs root. */
export const DEFAULT_USER = "65532:65532";

export interface Platform {
  readonly os: string;
  readonly architecture: string;
}

/** Everything that image_digest depends on. Layers follow from the tree by splitTree and layerPieces. */
export interface Recipe {
  readonly recipe_version: RecipeVersion;
  readonly tree: Digest;
  readonly platform: Platform;
  readonly user: string;
  readonly entry_point?: string;
}

/** Whose part of the tree a layer holds, and what it came to. */
export interface ImageLayer extends Pick<TreePart, "folder" | "slice"> {
  readonly digest: Digest;
  readonly size: number;
}

export interface Image {
  readonly manifest: Descriptor;
  readonly manifestBytes: Buffer;
  readonly config: Descriptor;
  readonly configBytes: Buffer;
  readonly layers: readonly Descriptor[];
}

export function composeImage(recipe: Recipe, layers: readonly ImageLayer[]): Image {
  const configBytes = Buffer.from(
    encodeCanonicalJson({
      architecture: recipe.platform.architecture,
      os: recipe.platform.os,
      config: {
        Env: [
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          ...(recipe.entry_point === undefined ? [] : [`GRANARY_ENTRY_POINT=${recipe.entry_point}`]),
        ],
        User: recipe.user,
        WorkingDir: "/app",
      },
      history: layers.map((layer) => ({
        created_by: `granary recipe ${recipe.recipe_version}: ${layerTitle(layer)}`,
      })),
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) },
    }),
  );
  const config: Descriptor = {
    mediaType: MEDIA_TYPES.config,
    digest: digestOf(configBytes),
    size: configBytes.byteLength,
  };
  const layerDescriptors = layers.map(
    ({ digest, size }): Descriptor => ({ mediaType: MEDIA_TYPES.layer, digest, size }),
  );
  const manifestBytes = Buffer.from(
    encodeCanonicalJson({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest,
      config: { ...config },
      layers: layerDescriptors.map((descriptor) => ({ ...descriptor })),
    }),
  );
  const manifest: Descriptor = {
    mediaType: MEDIA_TYPES.manifest,
    digest: digestOf(manifestBytes),
    size: manifestBytes.byteLength,
  };
  return { manifest, manifestBytes, config, configBytes, layers: layerDescriptors };
}

function layerTitle({ folder, slice }: ImageLayer): string {
  const part =
    folder === undefined
      ? "application"
      : folder === ""
        ? "dependency folders"
        : `dependency folder ${folder}`;
  return slice === undefined ? part : `${part}, slice ${slice.number} of ${slice.count}`;
}

/** `image_ref` as clients pull it: `<public name>/<org>/<project>@<image digest>`. */
export function imageRef(publicName: string, org: string, project: string, imageDigest: Digest): string {
  return `${publicName}/${org}/${project}@${imageDigest}`;
}
