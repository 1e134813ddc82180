import fs from "node:fs";
import { join } from "node:path";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { asGranaryError } from "./as-granary-error.ts";
import { Ballast } from "./ballast.ts";
import { checkIndex } from "./check-index.ts";
import { Committer } from "./commit-group.ts";
import {
  type CommitterData,
  type CommitterMessage,
  type CommitterReport,
  GROUP_REQUESTS,
} from "./committer-protocol.ts";
import { compactIndex } from "./compact-index.ts";
import { ifPresent, StoreFs, syncFolder } from "./fs.ts";
import { type IndexDb, openIndexForWriting } from "./index-db.ts";
import { LazyRemovals } from "./lazy-removals.ts";
import { prepareFolder } from "./prepare-folder.ts";
import { recover } from "./recover.ts";
import { StorePaths } from "./store-paths.ts";

/**
 * The committer thread: opens and recovers the store, then turns requests into groups. Requests that arrive while a group is
 * being synced make up the next one; no request waits for company.
 */
const data = workerData as CommitterData;
const port = parentPort;
if (port === null) throw new RangeError("the committer runs as a thread");
const paths = new StorePaths(data.storeDir);
const storeFs = new StoreFs(data.fsCells);
/** Exists while no process has the index open: it was closed in order. */
const closedMark = join(paths.index, "closed");
/** How often the index was opened and not closed in order since it last was: after two crashes all of it is looked at first. */
const openedMark = join(paths.index, "opened");

const ballast = new Ballast({ file: paths.ballast, folder: paths.root, bytes: data.ballastBytes });

const report = (message: CommitterReport): void => port.postMessage(message);

async function open(): Promise<IndexDb | undefined> {
  let opened: IndexDb | undefined;
  try {
    ballast.releaseIfTight();
    const storeId = prepareFolder(paths, storeFs);
    const quick = fs.existsSync(closedMark);
    if (quick) {
      // A power cut must not bring the mark back while the index is in use.
      fs.rmSync(closedMark);
      syncFolder(paths.index);
    }
    const crashes = quick ? 0 : readCount(openedMark);
    checkIndex(paths.index, { extent: quick ? "none" : crashes < 2 ? "some" : "all" });
    fs.writeFileSync(openedMark, String(crashes + 1));
    // Of one that was not closed in order nobody knows that lmdb can read all of it.
    const compacted = quick ? await compactIndex(paths.index) : [];
    opened = openIndexForWriting(paths.index);
    const { nextSegmentId, findings } = recover({
      paths,
      fs: storeFs,
      index: opened,
      storeId,
      nowMs: data.nowMs,
    });
    ballast.restore();
    report({ type: "opened", nextSegmentId, findings: [...compacted, ...findings] });
    return opened;
  } catch (error) {
    void opened?.close();
    report({ type: "refused", error: asGranaryError(error).toWire() });
    return undefined;
  }
}

const index = await open();
if (index === undefined) port.close();
else {
  const committer = new Committer({ paths, fs: storeFs, index, ballast });
  const removals = new LazyRemovals((group) => run(committer, group));
  port.on("message", (first: CommitterMessage | "close") => {
    let next: CommitterMessage | "close" | undefined = first;
    const group: CommitterMessage[] = [];
    while (next !== undefined && next !== "close" && group.length < GROUP_REQUESTS) {
      group.push(next);
      next = group.length < GROUP_REQUESTS ? receiveMessageOnPort(port)?.message : undefined;
    }
    const due = removals.join(group, { wait: next !== "close" });
    if (due.length > 0) run(committer, due);
    if (next === "close") void close(committer, index);
  });
}

function run(committer: Committer, group: readonly CommitterMessage[]): void {
  const answers = committer.run(group);
  const failed = committer.failed;
  report(
    failed === undefined
      ? { type: "answers", answers }
      : { type: "answers", answers, failed: failed.toWire() },
  );
}

function readCount(path: string): number {
  const text = ifPresent(() => fs.readFileSync(path, "utf8"));
  return text === undefined ? 0 : Number(text) || 0;
}

async function close(committer: Committer, db: IndexDb): Promise<void> {
  committer.close();
  await db.close();
  if (committer.failed === undefined) {
    fs.rmSync(openedMark, { force: true });
    fs.writeFileSync(closedMark, "");
  }
  report({ type: "closed" });
  port?.close();
}
