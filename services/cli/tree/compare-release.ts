import type { PreviewJson, ReleaseJson } from "../../../proto/http.ts";
import type { ComputedImage } from "./compute-image.ts";

/** What differs between a directory's image and a release, in the order in which one thing follows from another; empty: nothing. */
export function compareRelease(computed: ComputedImage, release: ReleaseJson | PreviewJson): string[] {
  const { recipe } = computed;
  const platform = `${recipe.platform.os}/${recipe.platform.architecture}`;
  const layers = computed.layers.map((layer) => layer.digest);
  const theirs = release.layers.map((layer) => layer.digest);
  const firstLayer = layers.findIndex((digest, at) => digest !== theirs[at]);
  const checks: readonly (readonly [boolean, string])[] = [
    [
      recipe.recipe_version === release.recipe_version,
      `recipe version: ${recipe.recipe_version} here, ${release.recipe_version} there`,
    ],
    [recipe.tree === release.tree, `tree: ${recipe.tree} here, ${release.tree} there`],
    [
      recipe.entry_point === release.entry_point,
      `entry point: ${recipe.entry_point ?? "none"} here, ${release.entry_point ?? "none"} there`,
    ],
    [platform === release.platform, `platform: ${platform} here, ${release.platform} there`],
    [recipe.user === release.user, `user: ${recipe.user} here, ${release.user} there`],
    [layers.length === theirs.length, `layers: ${layers.length} here, ${theirs.length} there`],
    [
      firstLayer < 0 || layers.length !== theirs.length,
      `layer ${firstLayer + 1} (${computed.layers[firstLayer]?.folder ?? "application"}): ${layers[firstLayer]} here, ${theirs[firstLayer]} there`,
    ],
  ];
  const differences = checks.filter(([same]) => !same).map(([, text]) => text);
  const { digest } = computed.image.manifest;
  if (differences.length === 0 && digest !== release.image_digest)
    differences.push(`image digest: ${digest} here, ${release.image_digest} there`);
  return differences;
}
