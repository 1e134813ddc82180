import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { CommitterClient } from "./committer-client.ts";
import type { GcThread } from "./gc-client.ts";
import type { ListedArtifact } from "./heal-listings.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexView } from "./index-view.ts";

/** An artifact that something of the state names. */
export interface NamedArtifact extends ListedArtifact {
  /** Everything that it lists was there by then. */
  readonly readyMs: number;
}

/** Answers the artifacts that name any of these trees, layers and listings of layers. */
export type ArtifactsNaming = (damaged: readonly Digest[]) => Promise<readonly NamedArtifact[]>;

export const DAY_MS = 24 * 3_600_000;
/** Between the clocks of a node and of the log. */
const CLOCK_DAYS = 1;

/**
 * Marks listings as damaged and makes those anew for which that is possible.
 * @throws GranaryError STORE_FULL, STORE_IO
 */
export async function healDamaged(
  damaged: readonly Digest[],
  artifacts: readonly NamedArtifact[],
  parts: { thread: GcThread; committer: CommitterClient; verify: (digest: Digest) => Promise<void> },
): Promise<void> {
  const { thread, committer, verify } = parts;
  for (const digest of damaged) await verify(digest);
  const batch = await thread.call("heal", artifacts);
  if (batch.blobs.byteLength + batch.bigFiles.length + batch.layers.length > 0)
    await committer.request({ kind: "commit", batch });
}

/**
 * The day after which content is named by none of the listings that are lost: it came later than the last of them was published, and
 * what a release names stays from then on. Infinity when one of them may name anything.
 * @throws GranaryError STORE_CORRUPT for one that no artifact is known of
 */
export function bornAfter(
  lost: readonly Digest[],
  options: { artifacts: readonly NamedArtifact[]; sessions: readonly string[]; view: IndexView },
): number {
  const { artifacts, sessions, view } = options;
  const known = new Set(artifacts.flatMap((artifact) => listingsOf(artifact, view)));
  for (const digest of lost) {
    if (known.has(digest)) continue;
    const message = `listing ${digest} cannot be read, so nothing is collected: what it lists would be lost`;
    throw new GranaryError("STORE_CORRUPT", message, { digest });
  }
  if (sessions.length > 0) return Number.POSITIVE_INFINITY;
  return Math.max(...artifacts.map(({ readyMs }) => Math.floor(readyMs / DAY_MS))) + CLOCK_DAYS;
}

/** Its tree, its layers, and what they are made of. */
function listingsOf({ tree, layers }: ListedArtifact, view: IndexView): Digest[] {
  const subtrees = layers.flatMap(({ digest }) => ifIntact(() => view.layer(digest))?.subtree ?? []);
  return [tree, ...layers.map(({ digest }) => digest), ...subtrees];
}
