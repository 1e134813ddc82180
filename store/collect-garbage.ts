import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import type { ActiveReads } from "./active-reads.ts";
import type { CommitterClient } from "./committer-client.ts";
import type { CollectResult, CollectStep } from "./committer-protocol.ts";
import { type ArtifactsNaming, bornAfter, healDamaged } from "./damaged-listings.ts";
import { chooseRewrites, foretellCompaction } from "./foretell-compaction.ts";
import { GcThread } from "./gc-client.ts";
import type { BytesOf, MarkResult } from "./gc-mark.ts";
import { encodeRoots, type GcRoots } from "./gc-root.ts";
import { addGone, type GoneBytes } from "./gone-bytes.ts";
import type { IndexView } from "./index-view.ts";
import { moveSteps } from "./move-steps.ts";
import { SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { StoreLog } from "./store.ts";
import { type StorePaths, segmentName } from "./store-paths.ts";
import { TaskSlots } from "./task-slots.ts";

export interface GcOptions {
  /**
   * Everything that has to stay. Called once, when what is committed meanwhile is watched already, so it has to tell of every publish
   * that ended before the call; it throws when it cannot, and nothing is changed.
   */
  readonly roots: () => GcRoots | Promise<GcRoots>;
  /**
   * Needed when listings turn out to be damaged: what can be is made anew, and where it cannot, only content that is younger than the
   * artifacts is condemned. Without it, such a run ends with STORE_CORRUPT.
   */
  readonly artifactsNaming?: ArtifactsNaming;
  /** The undo period: content that was condemned less than this ago is not deleted. */
  readonly graceMs: number;
  /** How long tasks and readers that began before are waited for; {@link LIMITS.gcPatienceMs} unless it is said. */
  readonly patienceMs?: number;
  /** Compacts every segment with dead bytes worth a copy, instead of those that are mostly dead: more is written, more comes back. */
  readonly compactFully?: boolean;
  /** Finds out what a run would do, in exact bytes, and does nothing. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Bytes are as on disk: whole records and big files. */
export interface GcResult {
  readonly dryRun: boolean;
  /** Content that something names. */
  readonly kept: BytesOf;
  /** Content that has just been found to be named by nothing; it counts as absent from now on. */
  readonly condemned: BytesOf;
  /** Content that was condemned and is named again. */
  readonly revived: BytesOf;
  /** Condemned content that this run left: its undo period is not over, or somebody may still read it. */
  readonly waiting: BytesOf;
  readonly deleted: BytesOf;
  /** Listings that are lost: they could not be read, and not be made anew. They have to be published again, or retired. */
  readonly damaged: readonly Digest[];
  /** Content that nothing else names, and that such a listing, or a damaged upload session, may name. */
  readonly heldBack: BytesOf;
  /**
   * What is left to be had without an undo period and with nobody at work: {@link GcResult.waiting} and dead bytes of packs. Of a dry
   * run, what such a run would reclaim: dead bytes that are not worth a copy stay.
   */
  readonly reclaimableBytes: number;
  /** What the disk got back, less what was written for it. */
  readonly reclaimedBytes: number;
  readonly segments: { readonly dropped: number; readonly rewritten: number };
  readonly durationMs: number;
}

interface Parts {
  readonly workerData: WorkerData;
  readonly paths: StorePaths;
  readonly view: IndexView;
  readonly committer: CommitterClient;
  readonly segments: SegmentFiles;
  readonly reads: ActiveReads;
  readonly verify: (digest: Digest) => Promise<void>;
  readonly log: StoreLog;
  readonly now: () => number;
}

/** Garbage collection of a store, one run at a time; store/README.md has the protocol and why it loses nothing. */
export class Collection {
  readonly #parts: Parts;
  readonly #closing = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * @throws GranaryError STATE_CONFLICT while another run is under way; STORE_CORRUPT when a root's listing cannot be read and nobody
   *   knows what names it (nothing has been changed); CANCELLED; STORE_FULL, STORE_IO; whatever `roots` throws
   */
  run(options: GcOptions): Promise<GcResult> {
    const signals = [this.#closing.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return this.alone(() => new Run(this.#parts, { ...options, signal: AbortSignal.any(signals) }).run());
  }

  /** Does something during which no segment may be dropped and nothing moved. @throws GranaryError STATE_CONFLICT */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running !== undefined)
      throw new GranaryError("STATE_CONFLICT", "garbage is being collected, or the store repaired");
    const running = work();
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Resolves when no run that has begun goes on. */
  async ended(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  /** Ends a run between two of its steps. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.ended();
  }
}

class Run {
  readonly #parts: Parts;
  readonly #options: GcOptions & { signal: AbortSignal };
  readonly #thread: GcThread;
  readonly #slots: TaskSlots;
  readonly #startMs = performance.now();
  /** Segments that copies went to, and their ends. */
  readonly #copiedTo = new Map<number, number>();
  #freedBytes = 0;
  #writtenBytes = 0;
  #dropped = 0;
  #rewritten = 0;
  #rewrittenDropped = 0;
  #lost: readonly Digest[] = [];
  #bornAfter: number | undefined;
  readonly #heldBack = { blobs: 0, bytes: 0 };

  constructor(parts: Parts, options: GcOptions & { signal: AbortSignal }) {
    this.#parts = parts;
    this.#options = options;
    this.#thread = new GcThread(parts.workerData);
    this.#slots = new TaskSlots(parts.workerData.taskSlots);
  }

  async run(): Promise<GcResult> {
    try {
      await this.#step({ do: "begin" });
      const roots = await encodeRoots(await this.#options.roots());
      const marked = await this.#mark(roots);
      return this.#options.dryRun === true ? await this.#foretell(marked) : await this.#collect(marked);
    } finally {
      await this.#parts.committer.collect({ do: "end" }).catch(() => undefined);
      await this.#thread.close();
    }
  }

  /** Once more when listings could be healed: then it is known what they name. */
  async #mark(roots: Uint8Array): Promise<MarkResult> {
    const untilMs = this.#parts.now() - this.#options.graceMs;
    const foretell = this.#options.dryRun === true;
    const first = await this.#thread.call("mark", { roots, untilMs, foretell });
    const { damaged, damagedSessions: sessions } = first;
    if (damaged.length + sessions.length === 0) return first;
    const naming = (await this.#options.artifactsNaming?.(damaged)) ?? [];
    const isHealing = !foretell && naming.length > 0;
    if (isHealing) await healDamaged(damaged, naming, { ...this.#parts, thread: this.#thread });
    const marked = isHealing ? await this.#thread.call("mark", { roots, untilMs, foretell }) : first;
    this.#lost = marked.damaged;
    if (this.#lost.length + sessions.length === 0) return marked;
    const artifacts =
      this.#lost.length === 0 ? [] : ((await this.#options.artifactsNaming?.(this.#lost)) ?? []);
    this.#bornAfter = bornAfter(this.#lost, { artifacts, sessions, view: this.#parts.view });
    return marked;
  }

  async #foretell(marked: MarkResult): Promise<GcResult> {
    const condemned = await this.#condemn(marked.unnamed);
    const all = sum(marked.condemned, condemned);
    const deleted = this.#options.graceMs > 0 ? marked.due : all;
    const waiting = { blobs: all.blobs - deleted.blobs, bytes: all.bytes - deleted.bytes };
    const revived = { blobs: marked.named.byteLength / 32, bytes: 0 };
    addGone(condemned.gone, marked.gone);
    const { segments, bytes } = foretellCompaction(this.#parts.view.segments(), {
      gone: condemned.gone,
      compactFully: this.#options.compactFully === true,
    });
    const result = this.#result({ kept: marked.kept, condemned, revived, waiting, deleted }, 0);
    return { ...result, reclaimableBytes: bytes, segments };
  }

  async #collect(marked: MarkResult): Promise<GcResult> {
    const revived = await this.#slices(marked.named, (digests) => ({ do: "revive", digests }));
    const condemned = await this.#condemn(marked.unnamed);
    const { deleted, waiting } = await this.#delete(condemned.epoch);
    await this.#compact();
    return this.#result({ kept: marked.kept, condemned, revived, waiting, deleted }, waiting.bytes);
  }

  #condemn(digests: Uint8Array): Promise<Sum> {
    const { dryRun = false } = this.#options;
    const nowMs = this.#parts.now();
    const young = this.#bornAfter === undefined ? {} : { bornAfter: this.#bornAfter };
    return this.#slices(digests, (slice) => ({ do: "condemn", digests: slice, nowMs, dryRun, ...young }));
  }

  async #slices(digests: Uint8Array, step: (slice: Uint8Array) => CollectStep): Promise<Sum> {
    const total = { blobs: 0, bytes: 0, epoch: 0, gone: new Map<number, number>() };
    const sliceBytes = 32 * this.#sliceRows();
    for (let at = 0; at < digests.byteLength; at += sliceBytes) {
      const done = await this.#step(step(digests.slice(at, at + sliceBytes)));
      total.blobs += done.blobs;
      total.bytes += done.bytes;
      total.epoch = done.epoch;
      addGone(total.gone, done.gone);
      this.#heldBack.blobs += done.heldBlobs;
      this.#heldBack.bytes += done.heldBytes;
    }
    return total;
  }

  /** @param epoch under which this run condemned; 0 when it did not */
  async #delete(epoch: number): Promise<{ deleted: BytesOf; waiting: BytesOf }> {
    const { reads, now } = this.#parts;
    const oldestEpoch = (): number => Math.min(this.#slots.oldestEpoch(), reads.oldestEpoch());
    if (this.#options.graceMs === 0) await this.#patience(() => oldestEpoch() >= epoch);
    const deleted = { blobs: 0, bytes: 0 };
    const waiting = { blobs: 0, bytes: 0 };
    let after: Uint8Array | undefined;
    do {
      const page = await this.#step({
        do: "delete",
        limit: this.#sliceRows(),
        untilMs: now() - this.#options.graceMs,
        untilEpoch: Math.min(oldestEpoch(), Number.MAX_SAFE_INTEGER),
        ...(after === undefined ? {} : { after }),
      });
      deleted.blobs += page.blobs;
      deleted.bytes += page.bytes;
      waiting.blobs += page.waitingBlobs;
      waiting.bytes += page.waitingBytes;
      after = page.next;
    } while (after !== undefined);
    return { deleted, waiting };
  }

  /**
   * Deletes segments that nothing points to, and copies away what lives of those that are mostly dead, or small among many. The disk may be full: what costs
   * nothing goes first, then what costs least, and what has no room for its copy is left to a later run.
   */
  async #compact(): Promise<void> {
    const before = await this.#use();
    await this.#drop(before);
    const used = (id: number): number => before.get(id) ?? 0;
    const rows = [...this.#parts.view.segments()];
    const segments = rows.map(([id, { end }]) => ({ id, end, liveBytes: used(id) }));
    const compactFully = this.#options.compactFully === true;
    for (const { id, end, liveBytes } of chooseRewrites(segments, { compactFully })) {
      if (!this.#hasRoom(liveBytes)) await this.#dropRewritten();
      if (this.#hasRoom(liveBytes) && this.#isSettled(id, end)) await this.#rewrite(id);
    }
    await this.#dropRewritten();
  }

  #free(): number {
    const { bavail, bsize } = fs.statfsSync(this.#parts.paths.root);
    return bavail * bsize;
  }

  #sliceRows(): number {
    return this.#free() < LIMITS.gcTightBytes ? LIMITS.gcTightSliceRows : LIMITS.gcSliceRows;
  }

  /** For a copy, with as much as the ballast left for the rows that move to it, and for the file that it lies in. */
  #hasRoom(bytes: number): boolean {
    const { files, ffree } = fs.statfsSync(this.#parts.paths.root);
    return (files === 0 || ffree > 0) && this.#free() >= bytes + LIMITS.storeBallastBytes / 2;
  }

  async #rewrite(id: number): Promise<void> {
    const copies = await this.#thread.call("copy", id);
    if (copies === undefined) {
      this.#parts.log("error", "a segment holds damaged records and is not compacted; run fsck", {
        segment: segmentName(id),
      });
      return;
    }
    for (const { id: target, end } of copies.segments) {
      this.#writtenBytes += end - (this.#copiedTo.get(target) ?? 0);
      this.#copiedTo.set(target, end);
    }
    for (const step of moveSteps(id, copies)) await this.#step(step);
    this.#rewritten += 1;
  }

  /** Those that were copied since the last time. */
  async #dropRewritten(): Promise<void> {
    if (this.#rewritten === this.#rewrittenDropped) return;
    this.#rewrittenDropped = this.#rewritten;
    await this.#drop(await this.#use());
  }

  /** @param use counted from the rows; the committer looks at the accounts as well */
  async #drop(use: ReadonlyMap<number, number>): Promise<void> {
    const { view, segments } = this.#parts;
    const dead = [...view.segments()].filter(([id, { end }]) => !use.has(id) && this.#isSettled(id, end));
    if (dead.length === 0) return;
    // A task may have looked content up where it lay before it was moved.
    const { epoch } = await this.#step({ do: "turn" });
    if (!(await this.#patience(() => this.#slots.oldestEpoch() >= epoch))) return;
    const unread = dead.map(([id]) => id).filter((id) => segments.pins(id) === 0);
    const { dropped } = await this.#step({ do: "drop", segments: unread });
    for (const id of dropped) segments.forget(id);
    this.#dropped += dropped.length;
  }

  async #use(): Promise<Map<number, number>> {
    const use = await this.#thread.call("use", undefined);
    return new Map(use.map(({ id, bytes }) => [id, bytes]));
  }

  /** Nobody appends to it, and no batch in it is on its way. */
  #isSettled(id: number, end: number): boolean {
    const stat = fs.statSync(this.#parts.paths.segment(id), { throwIfNoEntry: false });
    return (stat?.size ?? 0) <= end && this.#slots.takeSegment(id);
  }

  /** Whether the condition came true in time. */
  async #patience(condition: () => boolean): Promise<boolean> {
    const deadline = performance.now() + (this.#options.patienceMs ?? LIMITS.gcPatienceMs);
    while (!condition()) {
      if (performance.now() > deadline) return false;
      this.#assertWanted();
      await sleep(POLL_MS);
    }
    return true;
  }

  async #step(step: CollectStep): Promise<CollectResult> {
    this.#assertWanted();
    const done = await this.#parts.committer.collect(step);
    this.#freedBytes += done.freedBytes;
    return done;
  }

  #assertWanted(): void {
    if (this.#options.signal.aborted)
      throw new GranaryError("CANCELLED", "the garbage collection was ended; what it has done stays done");
  }

  #result(
    counts: Pick<GcResult, "kept" | "condemned" | "revived" | "waiting" | "deleted">,
    unnamedBytes: number,
  ): GcResult {
    return {
      dryRun: this.#options.dryRun === true,
      kept: counts.kept,
      condemned: bytesOf(counts.condemned),
      revived: bytesOf(counts.revived),
      waiting: counts.waiting,
      deleted: counts.deleted,
      damaged: this.#lost,
      heldBack: this.#heldBack,
      reclaimableBytes: unnamedBytes + deadBytes(this.#parts.view),
      reclaimedBytes: Math.max(0, this.#freedBytes - this.#writtenBytes),
      segments: { dropped: this.#dropped, rewritten: this.#rewritten },
      durationMs: Math.round(performance.now() - this.#startMs),
    };
  }
}

const POLL_MS = 2;

interface Sum extends BytesOf {
  readonly epoch: number;
  readonly gone: GoneBytes;
}

function sum(a: BytesOf, b: BytesOf): BytesOf {
  return { blobs: a.blobs + b.blobs, bytes: a.bytes + b.bytes };
}

function bytesOf({ blobs, bytes }: BytesOf): BytesOf {
  return { blobs, bytes };
}

/** Bytes of packs that no row points to. */
function deadBytes(view: IndexView): number {
  let bytes = 0;
  for (const { end, liveBytes } of view.segments().values()) bytes += end - SEGMENT_HEADER_BYTES - liveBytes;
  return bytes;
}
