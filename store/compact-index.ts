import fs from "node:fs";
import { GranaryError } from "../proto/errors.ts";
import type { Finding } from "./committer-protocol.ts";
import { syncFolder } from "./fs.ts";
import { openIndexForWriting } from "./index-db.ts";
import { indexFileIn } from "./store-paths.ts";

/** 32 MiB of free pages cost a transaction 1 ms. */
const FREE_PAGES = 8_192;

/**
 * Rewrites an index without its free pages when they are many, as a rebuild and a collection of much garbage leave them: lmdb (lmdb-js 3.5.6) goes
 * through all of them in every transaction. Beside 3 * 10^6 blobs 112,000 free pages cost a publish of 35 new files 48 ms CPU, and the copy of 300 MB 0.4 s.
 * For an index that no process has open. A disk without room for the copy leaves it as it is.
 * @throws GranaryError STORE_IO
 */
export async function compactIndex(folder: string, minFreePages = FREE_PAGES): Promise<Finding[]> {
  const file = indexFileIn(folder);
  const draft = `${file}.compact`;
  fs.rmSync(draft, { force: true });
  const index = openIndexForWriting(folder);
  const freePages = index.freePages();
  try {
    if (freePages < minFreePages) return [];
    await index.copyTo(draft);
  } catch (error) {
    fs.rmSync(draft, { force: true });
    if (!(error instanceof GranaryError) || error.code !== "STORE_FULL") throw error;
    return [
      finding(
        "the index keeps its free pages, which slow commits down: there is no room for a copy",
        freePages,
      ),
    ];
  } finally {
    await index.close();
  }
  const fd = fs.openSync(draft, "r+");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(draft, file);
  syncFolder(folder);
  return [finding("the index was rewritten without its free pages", freePages)];
}

function finding(message: string, freePages: number): Finding {
  return { level: "info", message, data: { free_pages: freePages } };
}
