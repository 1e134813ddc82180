import { statSync } from "node:fs";
import type { Digest } from "../proto/digest.ts";
import { ContentChecker, type Finding } from "./check-content.ts";
import { checkPass, type Subset } from "./check-pass.ts";
import { RootChecker } from "./check-roots.ts";
import type { ArtifactsNaming } from "./damaged-listings.ts";
import type { StoreFs } from "./fs.ts";
import type { GcRoots } from "./gc-root.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { digestKey, ROW, segmentKey } from "./index-keys.ts";
import { IndexView } from "./index-view.ts";
import { bigFiles } from "./recover.ts";
import { segmentFiles } from "./recover-segments.ts";
import type { RepairResult } from "./repair-store.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";
import { segmentEnds } from "./walk-segment.ts";

/** Names that a result lists of each kind. */
const LISTED = 10_000;

export interface FsckOptions {
  /** Checks only this part of the content. */
  readonly subset?: Subset;
  /** Repairs what can be; see {@link repairStore}. */
  readonly repair?: boolean;
  /** What is named by these and unknown to the index is missing, too. */
  readonly contentRoots?: () => GcRoots;
  /** For a repair: damaged listings of these can be made anew from others. */
  readonly artifactsNaming?: ArtifactsNaming;
}

/** Where roots are materialized from the store; absent: nowhere. */
export interface RootsAt {
  readonly rootsDir?: string;
}

/** What is named is described at {@link Finding}. */
export interface FsckResult {
  readonly checked: number;
  readonly checkedBytes: number;
  readonly corrupt: readonly Digest[];
  readonly misframed: readonly Digest[];
  readonly missing: readonly Digest[];
  /** Files that nothing refers to. */
  readonly orphaned: readonly string[];
  readonly brokenRows: readonly string[];
  readonly brokenSegments: readonly string[];
  readonly wrongAccounts: readonly string[];
  /** Paths below the roots' folder. */
  readonly brokenRoots: readonly string[];
  readonly repaired?: RepairResult;
}

interface Fsck extends FsckOptions, RootsAt {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  /** Segments from this id on belong to threads at work. */
  readonly firstOpenSegment: number;
}

/** Re-reads and verifies content, in the thread that calls it. Changes nothing. */
export function fsck(options: Fsck): FsckResult {
  const names: Record<Finding["kind"], string[]> = {
    corrupt: [],
    missing: [],
    misframed: [],
    row: [],
    segment: [],
    account: [],
    root: [],
  };
  let checked = 0;
  let checkedBytes = 0;
  const found = ({ kind, name }: Finding): void =>
    void (names[kind].length < LISTED && names[kind].push(name));
  const read = (bytes: number): void => {
    checkedBytes += bytes;
  };
  const checker = new ContentChecker({ ...options, found, read });
  const { rootsDir } = options;
  const roots =
    rootsDir === undefined
      ? undefined
      : { dir: rootsDir, checker: new RootChecker({ ...options, rootsDir, read }) };
  try {
    const pass = checkPass({ ...options, checker, found, ...(roots !== undefined && { roots }) });
    for (const { content } of pass) if (content) checked += 1;
  } finally {
    checker.close();
    roots?.checker.close();
  }
  const { orphaned, lostRows } = orphans(options);
  return {
    checked,
    checkedBytes,
    corrupt: names.corrupt as Digest[],
    misframed: names.misframed as Digest[],
    missing: names.missing as Digest[],
    orphaned,
    brokenRows: [...names.row, ...lostRows],
    brokenSegments: names.segment,
    wrongAccounts: names.account,
    brokenRoots: names.root,
  };
}

/**
 * Big files without a row, segments without one, bytes behind the committed end of an old segment; looked up last, so that what was
 * committed meanwhile is not among them. What other rows still tell of is no orphan: its own row is lost.
 */
function orphans({ paths, index, firstOpenSegment }: Fsck): { orphaned: string[]; lostRows: string[] } {
  const view = new IndexView(index);
  const found = [...bigFiles(paths)];
  const segments = segmentFiles(paths);
  index.refresh();
  const orphaned: string[] = [];
  const lostRows: string[] = [];
  for (const { digest } of found) {
    if (ifIntact(() => view.blob(digest)?.kind !== "big") !== true) continue;
    if (ifIntact(() => view.crcs(digest) ?? null) === null) orphaned.push(digest);
    else lostRows.push(digestKey(ROW.blob, digest).toString("hex"));
  }
  // When rows cannot be walked nobody knows what they tell of.
  const isUsed = (id: number): boolean => ifIntact(() => segmentEnds(index).has(id)) ?? true;
  for (const id of segments) {
    if (id >= firstOpenSegment) continue;
    const row = ifIntact(() => view.segment(id) ?? null);
    if (row === null) {
      if (isUsed(id)) lostRows.push(segmentKey(id).toString("hex"));
      else orphaned.push(segmentName(id));
    } else if (row !== undefined && sizeOf(paths.segment(id)) > row.end)
      orphaned.push(`${segmentName(id)}@${row.end}`);
  }
  return { orphaned: orphaned.slice(0, LISTED), lostRows };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
