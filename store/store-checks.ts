import { join } from "node:path";
import { type Digest, digestBytes } from "../proto/digest.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import type { Finding } from "./check-content.ts";
import type { Subset } from "./check-pass.ts";
import { distrustRoots } from "./check-roots.ts";
import type { Collection } from "./collect-garbage.ts";
import type { CommitterClient } from "./committer-client.ts";
import type { ArtifactsNaming } from "./damaged-listings.ts";
import { findLost, findUnknown, type LostOptions } from "./find-lost.ts";
import type { FsckOptions, FsckResult } from "./fsck.ts";
import type { IndexView } from "./index-view.ts";
import { type RepairResult, repairStore } from "./repair-store.ts";
import { runFsck } from "./run-fsck.ts";
import { runScrub, type ScrubOptions } from "./run-scrub.ts";
import type { StoreLog } from "./store.ts";
import type { StorePaths } from "./store-paths.ts";

interface Parts {
  readonly paths: StorePaths;
  readonly workerData: WorkerData;
  readonly committer: CommitterClient;
  readonly view: IndexView;
  readonly collection: Collection;
  readonly log: StoreLog;
  readonly firstSegmentId: number;
  /** Where roots are materialized from the store; undefined: nowhere. */
  readonly rootsDir: string | undefined;
  /** Looks at content, and marks it when it is damaged: what a check has found may have come again since. */
  readonly verify: (digest: Digest) => Promise<void>;
}

/** Checks of a store beside its work, and repairs of what they find. */
export class StoreChecks {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Re-reads and verifies content in a thread of its own; what is damaged or gone is marked, so that it heals when it comes again.
   * @throws GranaryError STORE_IO; for a repair STATE_CONFLICT beside GC, STORE_FULL
   */
  async fsck(options: FsckOptions): Promise<FsckResult> {
    const { paths, firstSegmentId, log, workerData } = this.#parts;
    const { artifactsNaming, contentRoots, ...asked } = options;
    const found = await runFsck({
      ...asked,
      ...this.#rootsAt(),
      storeDir: paths.root,
      fsCells: workerData.fsCells,
      firstOpenSegment: firstSegmentId,
    });
    const unknown = contentRoots === undefined ? [] : await findUnknown(contentRoots, this.#parts);
    const known = new Set([...found.corrupt, ...found.missing]);
    const more = unknown.filter((digest) => !known.has(digest) && isIn(options.subset, digest));
    const result = { ...found, missing: [...found.missing, ...more] };
    for (const digest of [...result.corrupt, ...result.missing]) await this.#parts.verify(digest);
    this.#distrust(result.brokenRoots);
    const { checked, checkedBytes: _, orphaned, repaired: __, ...damaged } = result;
    const counts = countsOf(damaged);
    const isClean = Object.values(counts).every((count) => count === 0);
    log(isClean ? "info" : "error", "the store was checked", {
      checked,
      ...counts,
      orphaned: orphaned.length,
    });
    return options.repair === true
      ? { ...result, repaired: await this.#repair(result, artifactsNaming) }
      : result;
  }

  /**
   * Reads and verifies the whole store slowly; what is damaged or gone is marked as by {@link StoreChecks.fsck}. Answers whether it came
   * to the end. @throws GranaryError STORE_IO
   */
  scrub(options: ScrubOptions): Promise<boolean> {
    const { paths, workerData, log } = this.#parts;
    const onFound = (finding: Finding): void => {
      log("error", "STORE_CORRUPT: the scrub found damage", { ...finding });
      if (finding.kind === "corrupt" || finding.kind === "missing") this.#verifyLater(finding.name as Digest);
      if (finding.kind === "root") this.#distrust([finding.name]);
      options.onFound(finding);
    };
    const store = { storeDir: paths.root, fsCells: workerData.fsCells, ...this.#rootsAt() };
    return runScrub(store, { ...options, onFound });
  }

  /**
   * What roots name and the store does not have, after listings and layers were made anew as far as others tell of them.
   * @throws GranaryError STATE_CONFLICT beside GC, STORE_*
   */
  lost(options: LostOptions): Promise<readonly Digest[]> {
    return this.#parts.collection.alone(() => findLost(options, this.#parts));
  }

  #rootsAt(): { rootsDir?: string } {
    const { rootsDir } = this.#parts;
    return rootsDir === undefined ? {} : { rootsDir };
  }

  /** @param paths below the roots' folder: `ORG/PROJECT/TREE/...` */
  #distrust(paths: readonly string[]): void {
    const { rootsDir, log } = this.#parts;
    if (rootsDir === undefined) return;
    for (const projectDir of new Set(paths.map((path) => path.split("/", 2).join("/")))) {
      try {
        distrustRoots(join(rootsDir, projectDir));
      } catch (error) {
        log("error", "roots that share files with a damaged one could not be marked", {
          project: projectDir,
          error: String(error),
        });
      }
    }
  }

  async #repair(found: FsckResult, artifactsNaming: ArtifactsNaming | undefined): Promise<RepairResult> {
    const { workerData, committer, view, verify, collection, firstSegmentId: firstOpenSegment } = this.#parts;
    const parts = { workerData, committer, view, verify, firstOpenSegment, artifactsNaming };
    const repaired = await collection.alone(() => repairStore(found, parts));
    this.#parts.log("info", "the store was repaired", countsOf(repaired));
    return repaired;
  }

  #verifyLater(digest: Digest): void {
    this.#parts.verify(digest).catch((error: unknown) => {
      this.#parts.log("error", "damaged content could not be marked", { digest, error: String(error) });
    });
  }
}

/** As rows are divided by a check of a part. */
function isIn(subset: Subset | undefined, digest: Digest): boolean {
  return subset === undefined || (digestBytes(digest)[0] ?? 0) % subset.of === subset.part;
}

function countsOf(lists: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(lists).map(([what, names]: [string, readonly unknown[]]) => [what, names.length]),
  );
}
