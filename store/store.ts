import fs from "node:fs";
import { resolve } from "node:path";
import type { CommitBatch } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import type { GranaryError } from "../proto/errors.ts";
import type { TreeEntry } from "../proto/tree.ts";
import { TASK_CELL, type WorkerData } from "../proto/worker-tasks.ts";
import { ActiveReads } from "./active-reads.ts";
import { Collection, type GcOptions, type GcResult } from "./collect-garbage.ts";
import { CommitterClient } from "./committer-client.ts";
import { type ByteRange, Content, type OpenedContent } from "./content.ts";
import { type ContentFate, contentFate } from "./content-fate.ts";
import { ContentReader } from "./content-reader.ts";
import { DAY_MS } from "./damaged-listings.ts";
import type { LostOptions } from "./find-lost.ts";
import { createFsCells, StoreFs } from "./fs.ts";
import type { FsckOptions, FsckResult } from "./fsck.ts";
import { checkId, Inbox } from "./inbox.ts";
import { type IndexReader, openIndexForReading } from "./index-db.ts";
import { IndexView } from "./index-view.ts";
import type { Place } from "./place-list.ts";
import type { ScrubOptions } from "./run-scrub.ts";
import { SegmentFiles } from "./segment-files.ts";
import { StoreChecks } from "./store-checks.ts";
import { StorePaths, stagingPrefix } from "./store-paths.ts";
import { type StoreStats, storeStats } from "./store-stats.ts";
import { createTaskSlots, TaskSlots } from "./task-slots.ts";
import type { ResumableUpload, Upload } from "./upload.ts";

export type StoreLog = (
  level: "info" | "error",
  message: string,
  data: Readonly<Record<string, string | number>>,
) => void;

export interface StoreOptions {
  readonly dir: string;
  readonly log: StoreLog;
  /** Wall clock in milliseconds, for leases. */
  readonly now?: () => number;
  /** Kept in reserve for garbage collection on a full disk; none unless it is said. */
  readonly ballastBytes?: number;
  /** Where the owner materializes roots, which checks read too; absent: nowhere. */
  readonly rootsDir?: string;
}

/** Content that is right in a damaged record is reported once; this many digests are remembered for that. */
const REPORTED_DIGESTS = 1_000;

/**
 * Opens the store below `dir`, creating it if need be, and recovers it from whatever happened before.
 * @throws GranaryError STORE_FORMAT; STORE_CORRUPT when the index is damaged or missing (`detail.rebuild`: rebuildIndex helps);
 *   STORE_FULL, STORE_IO
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const now = options.now ?? Date.now;
  const paths = new StorePaths(resolve(options.dir));
  const fsCells = createFsCells();
  let index: IndexReader | undefined;
  const { client, opened } = await CommitterClient.start(
    { storeDir: paths.root, fsCells, nowMs: now(), ballastBytes: options.ballastBytes ?? 0 },
    {
      onCommitted: () => index?.refresh(),
      onFailed: (error) => {
        options.log("error", "the store cannot write any more; restart the process", {
          code: error.code,
          error: error.message,
        });
      },
    },
  );
  for (const finding of opened.findings) options.log(finding.level, finding.message, finding.data);
  index = openIndexForReading(paths.index);
  const segmentIds = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(segmentIds)[0] = opened.nextSegmentId;
  const workerData = { storeDir: paths.root, segmentIds, fsCells, taskSlots: createTaskSlots() };
  const { log } = options;
  return new Store({
    paths,
    index,
    committer: client,
    log,
    now,
    workerData,
    firstSegmentId: opened.nextSegmentId,
    rootsDir: options.rootsDir,
  });
}

interface StoreParts {
  readonly paths: StorePaths;
  readonly index: IndexReader;
  readonly committer: CommitterClient;
  readonly log: StoreLog;
  readonly now: () => number;
  readonly workerData: WorkerData;
  /** Segments from here on were begun by this process. */
  readonly firstSegmentId: number;
  readonly rootsDir: string | undefined;
}

/**
 * Content under its digest, and uploads on their way to becoming it. Owned by the process's main thread, which never syncs and
 * never writes the index: the committer thread does (store/README.md has formats, orders and the crash table).
 */
export class Store {
  readonly #parts: StoreParts;
  readonly #fs: StoreFs;
  readonly #view: IndexView;
  readonly #segments: SegmentFiles;
  readonly #reader: ContentReader;
  readonly #content: Content;
  readonly #inbox: Inbox;
  readonly #reads = new ActiveReads();
  readonly #collection: Collection;
  readonly #checks: StoreChecks;
  readonly #marking = new Set<Promise<unknown>>();
  readonly #reported = new Set<Digest>();
  #closing: Promise<void> | undefined;

  constructor(parts: StoreParts) {
    const { paths, index, committer, now } = parts;
    this.#parts = parts;
    this.#fs = new StoreFs(parts.workerData.fsCells);
    this.#view = new IndexView(index);
    this.#segments = new SegmentFiles({ paths, fs: this.#fs });
    this.#reader = new ContentReader({
      paths,
      fs: this.#fs,
      view: this.#view,
      segments: this.#segments,
      onCorrupt: (digest, at) => this.#markDamaged(digest, at),
      onFraming: (digest) => this.#reportFraming(digest),
    });
    this.#content = new Content({ view: this.#view, reader: this.#reader });
    this.#inbox = new Inbox({ paths, fs: this.#fs, view: this.#view, committer, now });
    this.#collection = new Collection({
      workerData: parts.workerData,
      paths,
      view: this.#view,
      committer,
      segments: this.#segments,
      reads: this.#reads,
      verify: (digest) => this.verify(digest),
      log: parts.log,
      now,
    });
    this.#checks = new StoreChecks({
      ...parts,
      view: this.#view,
      collection: this.#collection,
      verify: (digest) => this.verify(digest),
    });
  }

  /** Why nothing can be committed any more, after a failed sync: the process has to restart. Reads go on. */
  get failed(): GranaryError | undefined {
    return this.#parts.committer.failed;
  }

  /** For the pool's threads ({@link openThreadStore}). */
  workerData(): WorkerData {
    return this.#parts.workerData;
  }

  /** Begins an upload. `uploadId`: 1 to 128 of A-Z a-z 0-9 _ - */
  openUpload(uploadId: string): Promise<Upload> {
    return this.#inbox.openUpload(uploadId);
  }

  /** Begins a stream that may break off, or goes on with it; it stays while a lease of its id does. */
  resumeUpload(uploadId: string): Promise<ResumableUpload> {
    return this.#inbox.resumeUpload(uploadId);
  }

  /** Bytes of a stream that is not sealed yet. */
  partialSize(uploadId: string): number {
    return this.#inbox.partialSize(uploadId);
  }

  uploadPath(uploadId: string): string {
    return this.#inbox.path(uploadId);
  }

  listUploads(): { id: string; size: number }[] {
    return this.#inbox.list();
  }

  /** Ends the upload's lease and removes its file. */
  removeUpload(uploadId: string): Promise<void> {
    return this.removeUploads([uploadId], { behind: false });
  }

  /** `behind`: of a publish that has ended, so that it costs no sync of its own. */
  removeUploads(uploadIds: readonly string[], options: { behind: boolean }): Promise<void> {
    return this.#inbox.remove(uploadIds, options);
  }

  /** Removes uploads without a live lease; answers how many. Also done at start. */
  sweepInbox(): Promise<number> {
    return this.#inbox.sweep();
  }

  /** Holds an upload (and, for GC, what is being published) for `ttlMs`; again extends; Infinity holds until released. */
  acquireLease(id: string, ttlMs: number): Promise<void> {
    checkId(id);
    return this.#parts.committer.request({
      kind: "acquire",
      leaseId: id,
      untilMs: this.#parts.now() + ttlMs,
    });
  }

  /** Until when an upload is held; undefined when it is not. */
  leaseUntilMs(id: string): number | undefined {
    return this.#view.leaseUntilMs(id);
  }

  /** Does nothing when there is no such lease. */
  releaseLease(id: string): Promise<void> {
    checkId(id);
    return this.#parts.committer.request({ kind: "release", leaseId: id });
  }

  leases(): { id: string; untilMs: number }[] {
    return this.#view.leases();
  }

  /**
   * Makes a task's content durable and visible; a second commit of known content succeeds. A batch that was refused is void.
   * What it brought or relied on stays, though nothing may name it yet, until the lease `heldBy` is released (or its upload removed).
   * @throws GranaryError UNAVAILABLE (retryable) when content that the task relied on is gone: run the task again; STORE_FULL,
   *   STORE_IO
   */
  async commit(batch: CommitBatch, { heldBy }: { heldBy?: string } = {}): Promise<void> {
    try {
      const held = heldBy === undefined ? {} : { heldBy };
      const day = Math.floor(this.#parts.now() / DAY_MS);
      await this.#parts.committer.request({ kind: "commit", batch, day, ...held });
    } catch (error) {
      await this.discard(batch);
      throw error;
    }
  }

  /** Lets go of a finished task whose batch will not be committed; what it appended stays as dead bytes. */
  async discard(batch: CommitBatch): Promise<void> {
    for (const { stagingName } of batch.bigFiles)
      await fs.promises.rm(this.#parts.paths.staged(stagingName), { force: true });
  }

  /**
   * Cleans up behind the task with this cell, if its thread died in it: its segment is cut to where the task began, its staging files
   * go. Nobody appends to that segment again, because segment ids are never reused and its only writer is dead.
   */
  async reclaim(cell: SharedArrayBuffer): Promise<void> {
    const task = new Float64Array(cell);
    const { paths } = this.#parts;
    const prefix = stagingPrefix({
      threadId: task[TASK_CELL.threadId] ?? 0,
      taskNumber: task[TASK_CELL.taskNumber] ?? 0,
    });
    for (const name of await fs.promises.readdir(paths.staging)) {
      if (name.startsWith(prefix)) await fs.promises.rm(paths.staged(name), { force: true });
    }
    new TaskSlots(this.#parts.workerData.taskSlots).clear(task[TASK_CELL.slot] ?? 0);
    const id = task[TASK_CELL.segmentId] ?? 0;
    if (id === 0) return;
    const end = Math.max(task[TASK_CELL.segmentStart] ?? 0, this.#view.segment(id)?.end ?? 0);
    const path = paths.segment(id);
    await this.#fs.runAsync("segment.truncate", path, async () => {
      const stat = await fs.promises.stat(path).catch(() => undefined);
      if (stat !== undefined && stat.size > end) await fs.promises.truncate(path, end);
    });
  }

  stat(digest: Digest): { size: number; kind: "packed" | "big" | "layer" } | undefined {
    return this.#content.stat(digest);
  }

  /** A whole blob, verified. @throws GranaryError BLOB_UNKNOWN, STORE_CORRUPT (from then on it counts as absent), STORE_IO */
  read(digest: Digest): Promise<Buffer> {
    return this.#reads.during(this.#view.meta().epoch, () => this.#content.read(digest));
  }

  /** A blob or computed layer as a stream, to be read or destroyed: GC waits for it; see {@link Content.open}. */
  async openContent(digest: Digest, range?: ByteRange): Promise<OpenedContent> {
    const end = this.#reads.begin(this.#view.meta().epoch);
    try {
      const opened = await this.#content.open(digest, range);
      opened.stream.once("close", end);
      return opened;
    } catch (error) {
      end();
      throw error;
    }
  }

  /** What keeps a blob, or does not, beside what names it. @throws GranaryError STORE_IO */
  fateOf(digest: Digest): Promise<ContentFate> {
    const { paths, committer } = this.#parts;
    return contentFate(digest, { paths, committer, view: this.#view });
  }

  /** The listing that a computed layer is made from. */
  listingOfLayer(digest: Digest): Digest | undefined {
    return this.#view.layer(digest)?.subtree;
  }

  /** The canonical bytes of a stored listing; see {@link Content.readListing}. */
  readListing(digest: Digest): Promise<Buffer> {
    return this.#reads.during(this.#view.meta().epoch, () => this.#content.readListing(digest));
  }

  /** All entries of a stored listing. */
  readTree(digest: Digest): Promise<readonly TreeEntry[]> {
    return this.#reads.during(this.#view.meta().epoch, () => this.#content.readTree(digest));
  }

  /**
   * Finds what nothing names any more, and deletes what has been so for the undo period, beside publishes and reads; see
   * {@link Collection.run}.
   */
  collectGarbage(options: GcOptions): Promise<GcResult> {
    return this.#collection.run(options);
  }

  /** Resolves when a run of garbage collection that has begun is over: it moves content from file to file. */
  collectionEnded(): Promise<void> {
    return this.#collection.ended();
  }

  /** Content that failed verification and waits to be published again. */
  get damagedBlobs(): number {
    return this.#view.meta().damagedBlobs;
  }

  stats(): StoreStats {
    return storeStats({ paths: this.#parts.paths, view: this.#view, inboxBytes: this.#inbox.bytes });
  }

  /** See {@link StoreChecks.fsck}. */
  fsck(options: FsckOptions = {}): Promise<FsckResult> {
    return this.#checks.fsck(options);
  }

  /** See {@link StoreChecks.lost}. */
  lost(options: LostOptions): Promise<readonly Digest[]> {
    return this.#checks.lost(options);
  }

  /** See {@link StoreChecks.scrub}. */
  scrub(options: ScrubOptions): Promise<boolean> {
    return this.#checks.scrub(options);
  }

  /** Reads content; what turns out to be damaged counts as absent when this resolves. @throws GranaryError STORE_IO */
  async verify(digest: Digest): Promise<void> {
    await this.#reader.verify(digest);
    await Promise.all(this.#marking);
  }

  /** Aborts open uploads, waits for queued commits, ends the committer. The pool's threads have to be gone before. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#collection.close();
    await this.#inbox.close();
    await this.#parts.committer.drain();
    await this.#segments.close();
    await this.#parts.index.close();
    await this.#parts.committer.close();
  }

  #markDamaged(digest: Digest, at: Place | undefined): void {
    this.#parts.log(
      "error",
      "STORE_CORRUPT: stored content does not match its digest; publishing it again heals it",
      { digest },
    );
    const marking = this.#parts.committer
      .request({ kind: "damage", digest, at })
      .catch((error: unknown) => {
        this.#parts.log("error", "damaged content could not be marked", { digest, error: String(error) });
      })
      .finally(() => this.#marking.delete(marking));
    this.#marking.add(marking);
  }

  #reportFraming(digest: Digest): void {
    if (this.#reported.has(digest) || this.#reported.size >= REPORTED_DIGESTS) return;
    this.#reported.add(digest);
    this.#parts.log("error", "a record's header or trailer is damaged; its content is right and was served", {
      digest,
    });
  }
}
