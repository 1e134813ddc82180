import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import type { CommitterClient } from "./committer-client.ts";
import { type ArtifactsNaming, healDamaged } from "./damaged-listings.ts";
import { GcThread } from "./gc-client.ts";
import type { Absent } from "./gc-mark.ts";
import { encodeRoots, type GcRoots } from "./gc-root.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexView } from "./index-view.ts";

export interface LostOptions {
  readonly roots: () => GcRoots;
  readonly artifactsNaming: ArtifactsNaming;
}

interface Parts {
  readonly workerData: WorkerData;
  readonly committer: CommitterClient;
  readonly view: IndexView;
  readonly verify: (digest: Digest) => Promise<void>;
}

/**
 * What roots name and the store does not have. Listings and layers are made anew first, from those that are there; a layer that still
 * lacks its listing is not named, because it comes with it.
 * @throws GranaryError STORE_CORRUPT for an index with broken rows, STORE_FULL, STORE_IO
 */
export async function findLost(
  { roots, artifactsNaming }: LostOptions,
  { workerData, committer, verify }: Parts,
): Promise<readonly Digest[]> {
  const thread = new GcThread(workerData);
  try {
    const asked = { roots: await encodeRoots(roots()) };
    const { blobs, layers } = await thread.call("absent", asked);
    const absent = [...blobs, ...layers];
    const artifacts = absent.length === 0 ? [] : await artifactsNaming(absent);
    if (artifacts.length === 0) return blobs;
    await healDamaged(absent, artifacts, { thread, committer, verify });
    return (await thread.call("absent", asked)).blobs;
  } finally {
    await thread.close();
  }
}

/**
 * What roots name and the index knows nothing of, as after a rebuild that found less than there was. Looked up twice, because what stops
 * being a root in between may be collected.
 */
export async function findUnknown(
  roots: () => GcRoots,
  { workerData, view }: Pick<Parts, "workerData" | "view">,
): Promise<Digest[]> {
  const thread = new GcThread(workerData);
  const look = async (): Promise<Digest[]> => {
    const absent = await thread.call("absent", { roots: await encodeRoots(roots()) });
    return all(absent).filter(
      (digest) => ifIntact(() => view.blob(digest) ?? view.layer(digest) ?? null) === null,
    );
  };
  try {
    const found = new Set(await look());
    return found.size === 0 ? [] : (await look()).filter((digest) => found.has(digest));
  } catch (error) {
    // Rows that cannot be read are findings of their own.
    if (error instanceof GranaryError && error.code === "STORE_CORRUPT") return [];
    throw error;
  } finally {
    await thread.close();
  }
}

function all({ blobs, layers }: Absent): Digest[] {
  return [...blobs, ...layers];
}
