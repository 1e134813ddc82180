import fs from "node:fs";
import { BLOB_ROW_BYTES } from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { Ballast } from "./ballast.ts";
import type { CollectResult, CollectStep } from "./committer-protocol.ts";
import { errnoOf, type StoreFs, syncFolder } from "./fs.ts";
import { countGone, type GoneBytes } from "./gone-bytes.ts";
import type { IndexChanges } from "./index-changes.ts";
import type { IndexDb } from "./index-db.ts";
import { keyAfter, ROW, rangeOf } from "./index-keys.ts";
import { BLOB_STATE, type BlobRow, decodeCondemned } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import type { KeptContent } from "./kept-content.ts";
import { readU32, readU48 } from "./little-endian.ts";
import { RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import { quarantineFiles } from "./quarantine-files.ts";
import type { SegmentSyncer } from "./segment-syncer.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";

interface Parts {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexDb;
  readonly view: IndexView;
  readonly syncer: SegmentSyncer;
  readonly kept: KeptContent;
  readonly ballast: Ballast;
  /** Runs syncs; an error of any of them ends all writing. */
  readonly finally: (syncs: () => void) => void;
  readonly transact: <T>(body: (changes: IndexChanges) => T) => T;
}

type Step<K extends CollectStep["do"]> = Extract<CollectStep, { do: K }>;

/** What a step adds up. */
interface Tally {
  blobs: number;
  bytes: number;
  waitingBlobs: number;
  waitingBytes: number;
  heldBlobs: number;
  heldBytes: number;
  gone: GoneBytes;
  freedBytes: number;
  dropped: number[];
  removed: string[];
  holders: string[];
  next?: Uint8Array;
}

/**
 * GC in the committer: every step checks in its own transaction that what it was told still holds, because publishes go on between
 * the steps. Rows go first, files second; a file that cannot be removed is garbage for the next start.
 */
export class Collector {
  readonly #parts: Parts;
  /** Batches that had been appended to them come too late. */
  readonly #dropped = new Set<number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  hasDropped(segment: number): boolean {
    return this.#dropped.has(segment);
  }

  /** @throws GranaryError STORE_FULL, STORE_IO */
  run(step: CollectStep): CollectResult {
    const tally: Tally = {
      blobs: 0,
      bytes: 0,
      waitingBlobs: 0,
      waitingBytes: 0,
      heldBlobs: 0,
      heldBytes: 0,
      gone: new Map(),
      freedBytes: 0,
      dropped: [],
      removed: [],
      holders: [],
    };
    this.#run(step, tally);
    this.#parts.index.refresh();
    return { ...tally, epoch: this.#parts.view.meta().epoch };
  }

  #run(step: CollectStep, tally: Tally): void {
    const { kept, ballast, transact } = this.#parts;
    if (step.do === "begin") {
      kept.watch();
      ballast.releaseIfTight();
    } else if (step.do === "end") {
      kept.unwatch();
      ballast.restore();
    } else if (step.do === "holders") tally.holders = kept.holdersOf(step.digest);
    else if (step.do === "turn") transact((changes) => changes.moveEpoch());
    else if (step.do === "condemn") this.#condemn(step, tally);
    else if (step.do === "revive") this.#revive(step, tally);
    else if (step.do === "delete") this.#delete(step, tally);
    else if (step.do === "move") this.#move(step, tally);
    else if (step.do === "correct") transact((changes) => changes.correct(step.errors));
    else if (step.do === "quarantine") tally.removed = quarantineFiles(step, this.#parts);
    else this.#drop(step, tally);
  }

  #condemn({ digests, nowMs, dryRun, bornAfter }: Step<"condemn">, tally: Tally): void {
    const { kept, view, transact } = this.#parts;
    const found: { digest: Digest; row: BlobRow }[] = [];
    for (let at = 0; at < digests.byteLength; at += 32) {
      if (kept.has(digests, at)) continue;
      const digest = digestFromBytes(digests.subarray(at, at + 32));
      const row = view.blob(digest);
      if (row === undefined || row.state === BLOB_STATE.condemned) continue;
      if (bornAfter !== undefined && !(Number(row.born) > bornAfter)) {
        tally.heldBlobs += 1;
        tally.heldBytes += diskBytes(row);
        continue;
      }
      found.push({ digest, row });
      if (dryRun) countGone(tally.gone, view, { digest, row });
      if (row.state !== BLOB_STATE.live) continue;
      tally.blobs += 1;
      tally.bytes += diskBytes(row);
    }
    if (dryRun || found.length === 0) return;
    transact((changes) => {
      changes.moveEpoch();
      for (const { digest, row } of found) {
        if (row.state === BLOB_STATE.damaged) changes.removeBlob(digest);
        else changes.condemn(digest, nowMs);
      }
    });
    this.#unlinkBig(found, tally);
  }

  #revive({ digests }: Step<"revive">, tally: Tally): void {
    this.#parts.transact((changes) => {
      for (let at = 0; at < digests.byteLength; at += 32) {
        const row = changes.reviveBlob(digestFromBytes(digests.subarray(at, at + 32)));
        if (row === undefined) continue;
        tally.blobs += 1;
        tally.bytes += diskBytes(row);
      }
    });
  }

  #delete({ after, limit, untilMs, untilEpoch }: Step<"delete">, tally: Tally): void {
    const { index, view, transact } = this.#parts;
    const { from, to } = rangeOf(ROW.condemned);
    const page = index.rows({ from: after ?? from, to, limit });
    const deleted: { digest: Digest; row: BlobRow }[] = [];
    const stale: Digest[] = [];
    for (const { key, value } of page) {
      const digest = digestFromBytes(key.subarray(1));
      const row = view.blob(digest);
      const { atMs, epoch } = decodeCondemned(key, value);
      if (row?.state !== BLOB_STATE.condemned) stale.push(digest);
      else if (atMs <= untilMs && epoch <= untilEpoch) deleted.push({ digest, row });
      else {
        tally.waitingBlobs += 1;
        tally.waitingBytes += diskBytes(row);
      }
    }
    const last = page.at(-1);
    if (page.length === limit && last !== undefined) tally.next = keyAfter(last.key);
    if (deleted.length + stale.length === 0) return;
    transact((changes) => {
      for (const digest of stale) changes.forgetCondemned(digest);
      for (const { digest } of deleted) changes.removeBlob(digest);
    });
    for (const { row } of deleted) {
      tally.blobs += 1;
      tally.bytes += diskBytes(row);
    }
    this.#unlinkBig(deleted, tally);
  }

  /** Files whose row is gone. No batch can have moved one of the same name in meanwhile: this thread would have done so. */
  #unlinkBig(deleted: readonly { digest: Digest; row: BlobRow }[], tally: Tally): void {
    const { index, view, fs: storeFs, paths } = this.#parts;
    index.refresh();
    for (const { digest, row } of deleted) {
      if (row.kind !== "big" || view.blob(digest) !== undefined) continue;
      if (this.#removed(() => storeFs.run("big.unlink", digest, () => fs.unlinkSync(paths.bigFile(digest)))))
        tally.freedBytes += row.size;
    }
  }

  #move({ from, copies }: Step<"move">, tally: Tally): void {
    const { syncer, view, paths, fs: storeFs, transact } = this.#parts;
    const nonces = new Map(copies.segments.map(({ id, end }) => [id, syncer.check(id, end)] as const));
    this.#parts.finally(() => {
      for (const { id } of copies.segments) {
        syncer.sync(id);
        if (view.segment(id) === undefined)
          storeFs.run("folder.sync", paths.packs, () => syncFolder(paths.packs));
      }
    });
    transact((changes) => {
      for (const { id, end } of copies.segments)
        changes.setSegment(id, { end, nonce: nonces.get(id) ?? Buffer.alloc(0) });
      for (let at = 0; at < copies.blobs.byteLength; at += BLOB_ROW_BYTES) {
        const row = copies.blobs.subarray(at, at + BLOB_ROW_BYTES);
        const to = { segment: readU32(row, 32), offset: readU48(row, 36) };
        if (!changes.moveBlob(digestFromBytes(row.subarray(0, 32)), from, to)) continue;
        tally.blobs += 1;
        tally.bytes += readU32(row, 42) + RECORD_OVERHEAD_BYTES;
      }
      for (const row of copies.layers) changes.moveLayer(row, from);
    });
  }

  #drop({ segments }: Step<"drop">, tally: Tally): void {
    const { view, paths, syncer, fs: storeFs, transact } = this.#parts;
    const sizes = new Map<number, number>();
    for (const id of segments) {
      const row = view.segment(id);
      if (row === undefined || row.liveRecords !== 0) continue;
      const size = fs.statSync(paths.segment(id), { throwIfNoEntry: false })?.size ?? 0;
      // What lies behind the committed end is a batch on its way, which would be lost.
      if (size <= row.end) sizes.set(id, size);
    }
    if (sizes.size === 0) return;
    transact((changes) => {
      for (const id of sizes.keys()) changes.removeSegment(id);
    });
    for (const [id, size] of sizes) {
      this.#dropped.add(id);
      syncer.forget(id);
      tally.dropped.push(id);
      const path = paths.segment(id);
      // Emptied first: threads may have the file open, and hold its blocks as long as they do.
      const removed = this.#removed(() => {
        storeFs.run("segment.truncate", segmentName(id), () => fs.truncateSync(path, 0));
        storeFs.run("segment.unlink", segmentName(id), () => fs.unlinkSync(path));
      });
      if (removed) tally.freedBytes += size;
    }
  }

  /** Whether files could be removed; if not they are left to the next start. */
  #removed(remove: () => void): boolean {
    try {
      remove();
      return true;
    } catch (error) {
      if (error instanceof GranaryError || errnoOf(error) === "ENOENT") return false;
      throw error;
    }
  }
}

function diskBytes(row: BlobRow): number {
  return row.kind === "packed" ? row.size + RECORD_OVERHEAD_BYTES : row.size;
}
