import fs from "node:fs";
import { join } from "node:path";
import { type Digest, digestHex, isDigest } from "../proto/digest.ts";
import { ifPresent, type StoreFs, syncFolder } from "./fs.ts";
import { BLOB_STATE } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import { type StorePaths, segmentIdOf } from "./store-paths.ts";

/**
 * Moves files that fsck has named to quarantine: damaged big files, files without a row; cuts tails behind the committed end. Runs in the
 * committer, where no batch is half-way between its file and its row, and looks again at each. Answers the names that it dealt with.
 * @param firstOpenSegment segments from here on belong to threads at work
 */
export function quarantineFiles(
  { names, firstOpenSegment }: { names: readonly string[]; firstOpenSegment: number },
  { paths, fs: storeFs, view }: { paths: StorePaths; fs: StoreFs; view: IndexView },
): string[] {
  const done: string[] = [];
  const move = (name: string, from: string, to: string): void => {
    const moved = ifPresent(() =>
      storeFs.run("big.rename", name, () => {
        fs.renameSync(from, join(paths.quarantine, to));
        return true;
      }),
    );
    if (moved === true) done.push(name);
  };
  const cut = (name: string, id: number, end: number): void => {
    const path = paths.segment(id);
    if ((fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= end) return;
    storeFs.run("segment.truncate", name, () => fs.truncateSync(path, end));
    done.push(name);
  };
  for (const name of names) {
    if (isDigest(name)) {
      if (mayGo(view, name)) move(name, paths.bigFile(name), digestHex(name));
      continue;
    }
    const file = name.split("@")[0] ?? "";
    const id = segmentIdOf(file);
    if (id === undefined || id >= firstOpenSegment) continue;
    const row = view.segment(id);
    if (row !== undefined) cut(name, id, row.end);
    else move(name, paths.segment(id), file);
  }
  if (done.length > 0) storeFs.run("folder.sync", paths.quarantine, () => syncFolder(paths.quarantine));
  return done;
}

function mayGo(view: IndexView, digest: Digest): boolean {
  const row = view.blob(digest);
  return row?.kind !== "big" || row.state === BLOB_STATE.damaged;
}
