import fs from "node:fs";
import { join } from "node:path";
import { type Digest, digestFromBytes, digestFromHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { Finding } from "./committer-protocol.ts";
import type { StoreFs } from "./fs.ts";
import { IndexChanges } from "./index-changes.ts";
import type { IndexDb } from "./index-db.ts";
import { META_KEY, ROW, rangeOf } from "./index-keys.ts";
import { BLOB_STATE, encodeMeta } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { freshMeta, STORE_FORMAT } from "./prepare-folder.ts";
import { recoverSegments, segmentFiles } from "./recover-segments.ts";
import { PARTIAL_SUFFIX, type StorePaths } from "./store-paths.ts";

interface Recovery {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexDb;
  readonly storeId: string;
  readonly nowMs: number;
}

/**
 * Brings folders and index into agreement before anything is served: what a crash left uncommitted goes, what is committed and
 * lost is marked damaged and named. Nothing that the index vouches for is ever removed.
 * @throws GranaryError STORE_CORRUPT when the index is not that of these packs
 */
export function recover(recovery: Recovery): { nextSegmentId: number; findings: Finding[] } {
  return recovery.fs.run("store.open", "recovery", () => {
    const findings: Finding[] = [];
    adoptIndex(recovery);
    assertNoRowLost(recovery.index);
    for (const name of fs.readdirSync(recovery.paths.staging))
      fs.rmSync(recovery.paths.staged(name), { force: true });
    const highestId = recoverSegments(recovery, findings);
    recoverBigFiles(recovery, findings);
    sweepInbox(recovery);
    const { segmentWatermark } = new IndexView(recovery.index).meta();
    return { nextSegmentId: Math.max(highestId, segmentWatermark) + 1, findings };
  });
}

/** A fresh index may only serve a fresh store: beside existing packs it would call all their content unknown and delete it. */
function adoptIndex({ paths, index, storeId }: Recovery): void {
  const meta = new IndexView(index).findMeta();
  if (meta === undefined) {
    if (segmentFiles(paths).length > 0 || bigFiles(paths).next().done !== true) {
      throw new GranaryError("STORE_CORRUPT", "the index is missing; rebuild it from the packs", {
        rebuild: true,
      });
    }
    index.transaction(() => index.put(META_KEY, encodeMeta(META_KEY, freshMeta(storeId))));
    return;
  }
  if (meta.format !== STORE_FORMAT || meta.storeId !== storeId) {
    throw new GranaryError("STORE_CORRUPT", "the index belongs to another store; rebuild it from the packs", {
      rebuild: true,
    });
  }
}

/**
 * Files without a row are deleted below, and a bit that flips in lmdb's pages may take a row out of sight: then its count tells.
 * Big files have two rows.
 * @throws GranaryError STORE_CORRUPT
 */
function assertNoRowLost(index: IndexDb): void {
  const view = new IndexView(index);
  const meta = view.meta();
  const counts = { segments: view.segments().size, leases: view.leases().length };
  const { segments = counts.segments, leases = counts.leases } = meta;
  const crcs = index.rows({ ...rangeOf(ROW.crcs), limit: Number.MAX_SAFE_INTEGER });
  if (segments !== counts.segments || leases !== counts.leases || crcs.length !== meta.bigBlobs)
    throw lostRow(`it has ${JSON.stringify({ ...counts, crcs: crcs.length })}, and its count other ones`);
  for (const { key } of crcs)
    if (view.blob(digestFromBytes(key.subarray(1)))?.kind !== "big")
      throw lostRow(`a big file's row is gone, and that of its checksums is not`);
  if (meta.segments !== undefined) return;
  index.transaction(() => {
    const changes = new IndexChanges(index);
    changes.countFrom(counts);
    changes.flush();
  });
}

function lostRow(why: string): GranaryError {
  const message = `the index has lost rows (${why}); rebuild it from the packs`;
  return new GranaryError("STORE_CORRUPT", message, { rebuild: true, unreadable: true });
}

/** Removes big files without a row; marks those whose file is gone or has another size. */
function recoverBigFiles({ paths, index }: Recovery, findings: Finding[]): void {
  const view = new IndexView(index);
  const lost = new Set<Digest>();
  for (const { key } of index.rows({ ...rangeOf(ROW.crcs), limit: Number.MAX_SAFE_INTEGER })) {
    const digest = digestFromBytes(key.subarray(1));
    const row = view.blob(digest);
    if (row?.kind === "big" && row.state !== BLOB_STATE.damaged) lost.add(digest);
  }
  for (const { path, digest } of bigFiles(paths)) {
    const row = view.blob(digest);
    if (row?.kind !== "big") fs.unlinkSync(path);
    else if (fs.statSync(path).size === row.size) lost.delete(digest);
  }
  if (lost.size === 0) return;
  index.transaction(() => {
    const changes = new IndexChanges(index);
    for (const digest of lost) changes.damage(digest);
    changes.flush();
  });
  for (const digest of lost) {
    findings.push({
      level: "error",
      message: "STORE_CORRUPT: a big file is missing or has another size",
      data: { digest },
    });
  }
}

/** Uploads without a live lease, whole or partial, and leases that ran out. A partial one with a lease is a stream that goes on. */
function sweepInbox({ paths, index, nowMs }: Recovery): void {
  const live = new Set<string>();
  const expired: string[] = [];
  for (const { id, untilMs } of new IndexView(index).leases()) {
    if (untilMs > nowMs) live.add(id);
    else expired.push(id);
  }
  for (const name of fs.readdirSync(paths.inbox)) {
    const id = name.endsWith(PARTIAL_SUFFIX) ? name.slice(0, -PARTIAL_SUFFIX.length) : name;
    if (!live.has(id)) fs.rmSync(paths.upload(name), { force: true });
  }
  if (expired.length === 0) return;
  index.transaction(() => {
    const changes = new IndexChanges(index);
    for (const id of expired) changes.removeLease(id);
    changes.flush();
  });
}

/** Complete names below big/; anything else is left alone. */
export function* bigFiles(paths: StorePaths): Generator<{ path: string; digest: Digest }> {
  for (const folder of fs.readdirSync(paths.big)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const hex of fs.readdirSync(join(paths.big, folder))) {
      if (/^[0-9a-f]{64}$/.test(hex) && hex.startsWith(folder)) {
        yield { path: join(paths.big, folder, hex), digest: digestFromHex(hex) };
      }
    }
  }
}
