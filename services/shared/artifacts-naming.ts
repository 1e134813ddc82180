import type { Digest } from "../../proto/digest.ts";
import { RECIPE_VERSIONS } from "../../proto/split-tree.ts";
import type { NamedArtifact } from "../../store/damaged-listings.ts";
import type { Store } from "../../store/store.ts";
import { type ContentRoot, contentRoots } from "./content-roots.ts";
import type { StateView } from "./state-db-tx.ts";
import { findPublish } from "./state-queries.ts";

export interface FoundArtifact extends NamedArtifact {
  readonly org: string;
  readonly project: string;
  /** `v3` or `preview/NAME`. */
  readonly ref: string;
  /** Those of the digests that it names. */
  readonly names: readonly Digest[];
}

/** Every kept release and living preview that names one of these trees, layers or listings of layers. */
export async function artifactsNaming(
  digests: readonly Digest[],
  context: { store: Pick<Store, "listingOfLayer">; read: <T>(body: (view: StateView) => T) => T },
): Promise<FoundArtifact[]> {
  const wanted = new Set(digests);
  const found: FoundArtifact[] = [];
  for await (const root of contentRoots(context.read)) {
    const names = namesOf(root, context.store).filter((digest) => wanted.has(digest));
    if (names.length === 0) continue;
    const { org, project, ref, artifact } = root;
    found.push({
      org,
      project,
      ref,
      names,
      tree: artifact.tree,
      layers: artifact.layers,
      recipe: RECIPE_VERSIONS.find((version) => version === artifact.recipe_version) ?? 1,
      readyMs: readyMsOf(artifact.publish_id, context.read),
    });
  }
  return found;
}

function namesOf({ artifact }: ContentRoot, store: Pick<Store, "listingOfLayer">): Digest[] {
  const layers = artifact.layers.map(({ digest }) => digest);
  return [artifact.tree, ...layers, ...layers.flatMap((layer) => store.listingOfLayer(layer) ?? [])];
}

/** When the publish that made it ended; Infinity when that is not known: then everything may be older. */
function readyMsOf(publishId: string, read: <T>(body: (view: StateView) => T) => T): number {
  const endedAt = read((view) => findPublish(view, publishId))?.ended_at;
  return endedAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(endedAt);
}
