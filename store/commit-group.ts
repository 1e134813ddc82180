import fs from "node:fs";
import { type BigFile, BLOB_ROW_BYTES, type CommitBatch } from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import type { Ballast } from "./ballast.ts";
import { Collector } from "./collect-steps.ts";
import type {
  CollectStep,
  CommitterAnswer,
  CommitterMessage,
  CommitterRequest,
} from "./committer-protocol.ts";
import { ifPresent, type StoreFs, syncFolder } from "./fs.ts";
import { IndexChanges } from "./index-changes.ts";
import type { IndexDb } from "./index-db.ts";
import { BLOB_STATE } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { KeptContent } from "./kept-content.ts";
import { SegmentSyncer } from "./segment-syncer.ts";
import type { StorePaths } from "./store-paths.ts";

/**
 * Kept free for the index. lmdb answers a disk that fills up in the middle of a transaction with EIO, which could as well be a failed
 * sync and ends all writing: better to refuse content before that can happen.
 */
const RESERVE_BYTES = 16 * 1024 * 1024;
/** A row of random key dirties its own leaf page, and sometimes splits it. */
const INDEX_BYTES_PER_ROW = 8 * 1024;

type Batch = Extract<CommitterRequest, { kind: "commit" }>;
type Seal = Extract<CommitterRequest, { kind: "seal" }>;

/**
 * The one place that makes things durable. A group of requests shares one sync per touched file and folder and one index
 * transaction. After a failed sync it refuses everything for good: the kernel may have dropped the pages that it could not
 * write, and a second fsync would report success without them.
 */
export class Committer {
  readonly #paths: StorePaths;
  readonly #fs: StoreFs;
  readonly #index: IndexDb;
  readonly #view: IndexView;
  readonly #syncer: SegmentSyncer;
  readonly #kept = new KeptContent();
  readonly #collector: Collector;
  #failed: GranaryError | undefined;

  constructor(options: { paths: StorePaths; fs: StoreFs; index: IndexDb; ballast: Ballast }) {
    this.#paths = options.paths;
    this.#fs = options.fs;
    this.#index = options.index;
    this.#view = new IndexView(options.index);
    this.#syncer = new SegmentSyncer(options);
    this.#collector = new Collector({
      ...options,
      view: this.#view,
      syncer: this.#syncer,
      kept: this.#kept,
      finally: (syncs) => this.#finally(syncs),
      transact: (body) => this.#transact(body),
    });
  }

  /** Why everything is refused; undefined while all is well. */
  get failed(): GranaryError | undefined {
    return this.#failed;
  }

  /** Carries out a group; answers each request once its effect is durable, or with the error that kept it from being so. */
  run(messages: readonly CommitterMessage[]): CommitterAnswer[] {
    const answers = this.#runGroup(messages.filter(({ request }) => request.kind !== "collect"));
    // GC's steps on their own, behind the group: what it checked and relied on is written by then.
    for (const { id, request } of messages)
      if (request.kind === "collect") answers.push(this.#collect(id, request.step));
    return answers;
  }

  #collect(id: number, step: CollectStep): CommitterAnswer {
    if (this.#failed !== undefined) return answer(id, this.#failed);
    this.#index.refresh();
    try {
      return { id, collected: this.#collector.run(step) };
    } catch (error) {
      return answer(id, asGranaryError(error));
    }
  }

  #runGroup(messages: readonly CommitterMessage[]): CommitterAnswer[] {
    const group = new Group();
    if (this.#failed !== undefined) return messages.map(({ id }) => answer(id, this.#failed));
    this.#index.refresh();
    try {
      for (const message of messages) this.#prepare(message, group);
      this.#makeDurable(group);
      this.#write(group);
      for (const { request } of group.ready) this.#keep(request);
      for (const message of group.ready) this.#removeUploads(message, group);
    } catch (error) {
      const failure = asGranaryError(error);
      for (const { id } of group.ready) group.errors.set(id, failure);
      this.#removeUnclaimed(group);
    }
    return messages.map(({ id }) => answer(id, group.errors.get(id)));
  }

  close(): void {
    this.#syncer.close();
  }

  #keep(request: CommitterRequest): void {
    if (request.kind === "commit") this.#kept.committed(request.batch, request.heldBy);
    else if (request.kind === "release") this.#kept.released(request.leaseId);
    else if (request.kind === "remove") for (const id of request.uploadIds) this.#kept.released(id);
  }

  /** Their leases have ended: a file that cannot be removed is left to the next sweep. */
  #removeUploads({ id, request }: CommitterMessage, group: Group): void {
    if (request.kind !== "remove") return;
    for (const uploadId of request.uploadIds) {
      try {
        this.#fs.run("inbox.unlink", uploadId, () =>
          ifPresent(() => fs.unlinkSync(this.#paths.upload(uploadId))),
        );
      } catch (error) {
        group.errors.set(id, asGranaryError(error));
      }
    }
  }

  /** Checks a request on its own; an error here is that request's alone. */
  #prepare(message: CommitterMessage, group: Group): void {
    const { request } = message;
    try {
      if (request.kind === "commit") this.#prepareBatch(request, group);
      else if (request.kind === "seal") this.#prepareSeal(request, group);
      group.ready.push(message);
    } catch (error) {
      group.errors.set(message.id, asGranaryError(error));
    }
  }

  #prepareBatch({ batch, day = 0 }: Batch, group: Group): void {
    group.day = Math.min(group.day ?? day, day);
    const meta = this.#view.meta();
    if (batch.epoch !== meta.epoch) {
      const missing = missingReferences(this.#view, batch.references);
      if (missing.length > 0) throw contentGone(missing);
    }
    if (bringsContent(batch))
      this.#reserve(group, batch.blobs.byteLength / BLOB_ROW_BYTES + batch.bigFiles.length);
    if (batch.segments.some(({ id }) => this.#collector.hasDropped(id)))
      throw new GranaryError("UNAVAILABLE", "the task's segment was collected meanwhile; run it again");
    const nonces = batch.segments.map(({ id, end }) => [id, this.#syncer.check(id, end)] as const);
    for (const file of batch.bigFiles) {
      const { size } = this.#fs.run("staging.open", file.stagingName, () =>
        fs.statSync(this.#paths.staged(file.stagingName)),
      );
      if (size !== file.size)
        throw new GranaryError("STORE_CORRUPT", `staged ${file.digest} has ${size} bytes, not ${file.size}`);
    }
    for (const [id, nonce] of nonces) group.nonces.set(id, nonce);
    group.bigFiles.push(...batch.bigFiles);
  }

  #prepareSeal({ uploadId, size, alsoHeld, bytes }: Seal, group: Group): void {
    const path = this.#paths.partialUpload(uploadId);
    if (bytes !== undefined)
      this.#fs.run("inbox.write", uploadId, () => fs.writeFileSync(path, bytes, { mode: 0o600 }));
    const written = bytes?.byteLength ?? this.#fs.run("inbox.open", uploadId, () => fs.statSync(path)).size;
    if (written !== size)
      throw new GranaryError("STORE_IO", `upload ${uploadId} has ${written} bytes, not ${size}`);
    this.#reserve(group, 1 + alsoHeld.length);
    group.uploads.push(uploadId);
  }

  /** @throws GranaryError STORE_FULL when the group's rows could fill the disk */
  #reserve(group: Group, rows: number): void {
    group.freeBytes ??= this.#fs.run("disk.space", "index", () => {
      const { bavail, bsize } = fs.statfsSync(this.#paths.index);
      return bavail * bsize - RESERVE_BYTES;
    });
    const bytes = rows * INDEX_BYTES_PER_ROW;
    if (bytes > group.freeBytes)
      throw new GranaryError("STORE_FULL", "the disk has no room for the index left");
    group.freeBytes -= bytes;
  }

  /** Content first: segments, big files, uploads, then the folders that name them. */
  #makeDurable(group: Group): void {
    this.#finally(() => {
      for (const id of group.nonces.keys()) {
        this.#syncer.sync(id);
        if (this.#view.segment(id) === undefined) group.folders.add(this.#paths.packs);
      }
      for (const file of group.bigFiles) this.#syncFile("staging.sync", this.#paths.staged(file.stagingName));
      for (const uploadId of group.uploads) this.#syncFile("inbox.sync", this.#paths.partialUpload(uploadId));
    });
    for (const file of group.bigFiles) this.#moveBig(file, group);
    for (const uploadId of group.uploads) {
      this.#fs.run("inbox.rename", uploadId, () =>
        fs.renameSync(this.#paths.partialUpload(uploadId), this.#paths.upload(uploadId)),
      );
      group.folders.add(this.#paths.inbox);
    }
    this.#finally(() => {
      for (const folder of group.folders) this.#fs.run("folder.sync", folder, () => syncFolder(folder));
    });
  }

  #syncFile(op: "staging.sync" | "inbox.sync", path: string): void {
    this.#fs.run(op, path, () => {
      const fd = fs.openSync(path, "r");
      try {
        fs.fdatasyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
    });
  }

  #moveBig(file: BigFile, group: Group): void {
    const staged = this.#paths.staged(file.stagingName);
    if (this.#view.liveBlob(file.digest) !== undefined) {
      this.#fs.run("staging.unlink", file.stagingName, () => fs.unlinkSync(staged));
      return;
    }
    this.#fs.run("big.rename", file.digest, () => fs.renameSync(staged, this.#paths.bigFile(file.digest)));
    group.folders.add(this.#paths.bigFolder(file.digest));
  }

  #write(group: Group): void {
    if (!group.ready.some(({ request }) => this.#changesIndex(request))) return;
    this.#transact((changes) => {
      for (const { request } of group.ready) applyRequest(changes, request, group);
    }, group.day);
  }

  /** One durable transaction; when it cannot be written, nothing can be any more. */
  #transact<T>(body: (changes: IndexChanges) => T, day?: number): T {
    try {
      return this.#index.transaction(() => {
        this.#fs.run("index.commit", "index", () => undefined);
        const changes = new IndexChanges(this.#index, day);
        const result = body(changes);
        changes.flush();
        return result;
      });
    } catch (error) {
      const failure = asGranaryError(error);
      if (failure.code === "STORE_IO") this.#failed = failure;
      throw failure;
    }
  }

  #changesIndex(request: CommitterRequest): boolean {
    if (request.kind !== "commit") return true;
    const { batch } = request;
    return bringsContent(batch) || batch.epoch !== this.#view.meta().epoch;
  }

  /** Big files that were moved in for rows which then were not written: their batches run again from the start. */
  #removeUnclaimed(group: Group): void {
    if (this.#failed !== undefined) return;
    for (const file of group.bigFiles) {
      for (const path of [this.#paths.staged(file.stagingName), this.#paths.bigFile(file.digest)]) {
        if (path === this.#paths.bigFile(file.digest) && this.#view.liveBlob(file.digest) !== undefined)
          continue;
        fs.rmSync(path, { force: true });
      }
    }
  }

  /** Runs syncs; an error of any of them ends all writing. */
  #finally(syncs: () => void): void {
    try {
      syncs();
    } catch (error) {
      this.#failed = asGranaryError(error);
      throw this.#failed;
    }
  }
}

class Group {
  readonly ready: CommitterMessage[] = [];
  readonly errors = new Map<number, GranaryError>();
  readonly nonces = new Map<number, Uint8Array>();
  readonly bigFiles: BigFile[] = [];
  readonly uploads: string[] = [];
  readonly folders = new Set<string>();
  /** The oldest that a batch of the group names: content must not be called younger than it is. */
  day: number | undefined;
  /** What the disk can take before the reserve begins; undefined until somebody asks. */
  freeBytes: number | undefined;
}

function applyRequest(changes: IndexChanges, request: CommitterRequest, group: Group): void {
  switch (request.kind) {
    case "commit":
      if (request.batch.epoch !== changes.epoch) changes.revive(request.batch.references);
      changes.addBatch(request.batch, group.nonces);
      return;
    case "seal":
      for (const id of [request.uploadId, ...request.alsoHeld]) changes.putLease(id, request.untilMs);
      return;
    case "acquire":
      changes.putLease(request.leaseId, request.untilMs);
      return;
    case "release":
      changes.removeLease(request.leaseId);
      return;
    case "remove":
      for (const id of request.uploadIds) changes.removeLease(id);
      return;
    case "damage":
      changes.damage(request.digest, request.at);
      return;
    case "collect":
      throw new RangeError("GC's steps have transactions of their own");
  }
}

/** References that were moved past by the epoch: gone or damaged. */
function missingReferences(view: IndexView, references: Uint8Array): Digest[] {
  const missing: Digest[] = [];
  for (let at = 0; at < references.byteLength; at += 32) {
    const digest = digestFromBytes(references.subarray(at, at + 32));
    const state = view.blob(digest)?.state ?? BLOB_STATE.damaged;
    if (state === BLOB_STATE.damaged) missing.push(digest);
  }
  return missing;
}

/** Retryable: the task has to run again and bring the content itself. */
function contentGone(missing: readonly Digest[]): GranaryError {
  return new GranaryError(
    "UNAVAILABLE",
    `${missing.length} blobs that the task relied on are gone; run it again`,
    {
      missing: missing.slice(0, 100),
      count: missing.length,
    },
  );
}

function bringsContent(batch: CommitBatch): boolean {
  return batch.blobs.byteLength > 0 || batch.bigFiles.length > 0 || batch.layers.length > 0;
}

function answer(id: number, error: GranaryError | undefined): CommitterAnswer {
  return error === undefined ? { id } : { id, error: error.toWire() };
}
