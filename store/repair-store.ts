import { BLOB_ROW_BYTES } from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import { accountNames } from "./account-errors.ts";
import type { CommitterClient } from "./committer-client.ts";
import { type ArtifactsNaming, healDamaged } from "./damaged-listings.ts";
import type { FsckResult } from "./fsck.ts";
import { GcThread } from "./gc-client.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexView } from "./index-view.ts";
import { moveSteps } from "./move-steps.ts";
import { segmentIdOf } from "./store-paths.ts";

export interface RepairResult {
  /** Content whose row points to another, intact record of it now. */
  readonly reindexed: readonly Digest[];
  /** Segments whose content was copied to new ones, in whole records; GC takes what is left of them. */
  readonly rewritten: readonly number[];
  /** Files that went to quarantine, and tails that were cut. */
  readonly removed: readonly string[];
  /** Content that is refused until it is published again. */
  readonly lost: readonly Digest[];
  /** Segments and counters whose accounts were set right. */
  readonly corrected: readonly string[];
}

interface Parts {
  readonly workerData: WorkerData;
  readonly committer: CommitterClient;
  readonly view: IndexView;
  readonly verify: (digest: Digest) => Promise<void>;
  readonly firstOpenSegment: number;
  readonly artifactsNaming: ArtifactsNaming | undefined;
}

/**
 * Repairs what fsck has found as far as that is safe beside publishes and reads; nothing that may still be of use is deleted. What has
 * been found corrupt or missing is marked damaged before. Broken rows are left to a rebuild of the index.
 * @throws GranaryError STORE_FULL, STORE_IO
 */
export async function repairStore(found: FsckResult, parts: Parts): Promise<RepairResult> {
  const { committer, view, verify, firstOpenSegment } = parts;
  const thread = new GcThread(parts.workerData);
  try {
    const bad = damagedBlobs(found, view);
    const reindexed = await reindex(bad, { thread, committer });
    const artifacts = bad.length === 0 ? [] : ((await parts.artifactsNaming?.(bad)) ?? []);
    if (artifacts.length > 0) await healDamaged(bad, artifacts, { thread, committer, verify });
    const rewritten = brokenSegments(found, view);
    for (const segment of rewritten) {
      const copies = await thread.call("evacuate", segment);
      for (const step of moveSteps(segment, copies)) await committer.collect(step);
    }
    const big = bad.filter((digest) => ifIntact(() => view.blob(digest))?.kind === "big");
    const names = [...big, ...found.orphaned];
    const { removed } = await committer.collect({ do: "quarantine", names, firstOpenSegment });
    const lost = bad.filter((digest) => !isThere(digest, view));
    const errors = await thread.call("accounts", undefined);
    const corrected = errors === undefined ? [] : accountNames(errors);
    if (errors !== undefined && corrected.length > 0) await committer.collect({ do: "correct", errors });
    return { reindexed, rewritten, removed, lost, corrected };
  } finally {
    await thread.close();
  }
}

/** What is corrupt or missing of blobs; of layers their listings, when it is these that they lack. */
function damagedBlobs(found: FsckResult, view: IndexView): Digest[] {
  const bad = new Set<Digest>();
  for (const digest of [...found.corrupt, ...found.missing]) {
    const listing = ifIntact(() => view.layer(digest))?.subtree;
    if (listing === undefined) bad.add(digest);
    else if (ifIntact(() => view.liveBlob(listing)) === undefined) bad.add(listing);
  }
  return [...bad];
}

/** A blob, or a layer that can be computed. */
function isThere(digest: Digest, view: IndexView): boolean {
  const listing = ifIntact(() => view.layer(digest))?.subtree ?? digest;
  return ifIntact(() => view.liveBlob(listing)) !== undefined;
}

async function reindex(
  wanted: readonly Digest[],
  { thread, committer }: { thread: GcThread; committer: CommitterClient },
): Promise<Digest[]> {
  if (wanted.length === 0) return [];
  const batch = await thread.call("find", wanted);
  const { blobs } = batch;
  if (blobs.byteLength > 0) await committer.request({ kind: "commit", batch });
  return Array.from({ length: blobs.byteLength / BLOB_ROW_BYTES }, (_, at) =>
    digestFromBytes(blobs.subarray(at * BLOB_ROW_BYTES, at * BLOB_ROW_BYTES + 32)),
  );
}

/** Those that cannot be walked, and those of misframed records. */
function brokenSegments(found: FsckResult, view: IndexView): number[] {
  const ids = new Set<number>();
  for (const name of found.brokenSegments) ids.add(segmentIdOf(name.split("@")[0] ?? "") ?? 0);
  for (const digest of found.misframed) {
    const row = ifIntact(() => view.blob(digest));
    const layer = ifIntact(() => view.layer(digest));
    if (row?.kind === "packed") ids.add(row.segment);
    if (layer !== undefined) ids.add(layer.segment);
  }
  ids.delete(0);
  return [...ids].sort((a, b) => a - b);
}
