import { hash } from "node:crypto";
import {
  type BigFile,
  BLOB_ROW_BYTES,
  type CommitBatch,
  type LayerRow,
  type PlacedLayerRow,
} from "../proto/commit-batch.ts";
import { type Digest, digestFromBytes } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { TASK_CELL } from "../proto/worker-tasks.ts";
import { type BlobReader, corrupt } from "./blob-reader.ts";
import { ByteList } from "./byte-list.ts";
import { ContentArena } from "./content-arena.ts";
import { DigestTable } from "./digest-table.ts";
import type { StoreFs } from "./fs.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, BLOB_STATE_AT } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { readU32, readU48, writeU32, writeU48 } from "./little-endian.ts";
import { encodeLayerPayload, RECORD_HEADER_BYTES, RECORD_KIND, SEGMENT_HEADER_BYTES } from "./pack-format.ts";
import { GATHERED_RECORD_BYTES, PackGather, type PlacedRecord } from "./pack-gather.ts";
import { type Place, PlaceList } from "./place-list.ts";
import type { SegmentAppender } from "./segment-appender.ts";
import { StagingWriter } from "./staging-writer.ts";
import { type StorePaths, stagingPrefix } from "./store-paths.ts";
import type { TaskSlot } from "./task-slots.ts";

interface Parts {
  readonly index: IndexReader;
  readonly reader: BlobReader;
  readonly appender: SegmentAppender;
  readonly slot: TaskSlot;
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  /** Buffer of {@link LIMITS.crcChunkBytes} for the big file that is being written. */
  readonly chunk: Buffer;
}

/** Content that arrives in chunks. */
export interface BlobWriter {
  write(chunk: Uint8Array): void;
  /** @throws RangeError when not exactly the announced number of bytes was written */
  end(): Digest;
}

/** Per thread: a common node_modules. */
const RECEIVED_BYTES = 32 * 1024 * 1024;
/** The rest is for contents that the index does not have: reading those back takes a buffer and a read each. */
const RECEIVED_KNOWN_BYTES = 24 * 1024 * 1024;

/** Values in the table of digests: a new blob's row number, or one of these. */
const NEW_BIG = -1;
/** Known to the index: this minus the number of its place. */
const REFERENCE = -2;

/**
 * What one task puts into the store: new content is appended to the thread's segment or to staging, known content is referred
 * to. Nothing is visible to others before the committer has taken the batch that `finish` answers. Any error leaves the task to
 * be abandoned.
 */
export class TaskWriter {
  readonly #parts: Parts;
  readonly #view: IndexView;
  /** A blob row's key; the digest in hand lies behind its first byte. */
  readonly #key = Buffer.allocUnsafeSlow(33);
  readonly #gathered: PackGather;
  /** Collected here, hashed here, and many are hashed into a layer next: also what the index has, whatever has become of that on disk. */
  readonly #received = new ContentArena({ bytes: RECEIVED_BYTES, knownBytes: RECEIVED_KNOWN_BYTES });
  readonly #known = new DigestTable();
  readonly #rows = new ByteList(1024 * BLOB_ROW_BYTES);
  readonly #references = new ByteList(1024 * 32);
  readonly #places = new PlaceList();
  readonly #layers: PlacedLayerRow[] = [];
  readonly #big: { file: BigFile; writer: StagingWriter }[] = [];
  readonly #unfinished = new Set<StagingWriter>();
  #collected: Buffer | undefined;
  #cell: Float64Array = new Float64Array(TASK_CELL.length);
  #stagingPrefix = "";
  #stagingCount = 0;
  #start = 0;
  #appended = false;
  #epoch = 0;
  #active = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#view = new IndexView(parts.index);
    this.#gathered = new PackGather(parts.fs);
    this.#key[0] = ROW.blob;
  }

  /** Called by the thread's store. */
  begin(cell: Float64Array): void {
    if (this.#active) throw new RangeError("the thread's last task was neither finished nor abandoned");
    const { appender, slot } = this.#parts;
    appender.rotateIfFull();
    if (appender.id !== 0 && slot.giveUp === appender.id) appender.close();
    slot.setSegment(appender.id);
    this.#active = true;
    this.#gathered.clear();
    this.#received.clear();
    this.#cell = cell;
    this.#start = appender.end;
    cell[TASK_CELL.segmentStart] = this.#start;
    cell[TASK_CELL.segmentId] = appender.id;
    this.#stagingPrefix = stagingPrefix({
      threadId: cell[TASK_CELL.threadId] ?? 0,
      taskNumber: cell[TASK_CELL.taskNumber] ?? 0,
    });
    this.#stagingCount = 0;
    this.#appended = false;
    this.#epoch = this.#view.meta().epoch;
    slot.began(this.#epoch);
  }

  /**
   * Content in one piece. Costs 4-6 us on top of the hash for a small new file, 1.5 us for a known one.
   * @throws GranaryError STORE_FULL, STORE_IO
   */
  putBlob(bytes: Uint8Array): Digest {
    if (bytes.byteLength > LIMITS.packedBlobBytes) {
      const writer = this.beginBlob(bytes.byteLength);
      writer.write(bytes);
      return writer.end();
    }
    const hex = hash("sha256", bytes, "hex");
    this.#key.write(hex, 1, 32, "hex");
    if (!this.#isKnown()) this.#append(bytes);
    return `sha256:${hex}` as Digest;
  }

  /** Content in chunks, `size` bytes in all. One at a time. */
  beginBlob(size: number): BlobWriter {
    return size > LIMITS.packedBlobBytes ? this.#beginBig(size) : this.#beginCollected(size);
  }

  /** Whether content is there; then the task is taken to rely on it. */
  has(digest: Digest): boolean {
    this.#setKey(digest);
    return this.#isKnown();
  }

  /** Whether this very task has put it: before the commit nobody else has it. */
  brings(digest: Digest): boolean {
    this.#setKey(digest);
    return (this.#known.find(this.#key, 1) ?? REFERENCE) > REFERENCE;
  }

  /** Of the index. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Takes the task to rely on content that {@link has} found in this epoch, in this task or an earlier one: 32 bytes a digest. */
  relyOn(digests: Uint8Array): void {
    this.#assertActive();
    const { bytes, at } = this.#references.extend(digests.byteLength);
    bytes.set(digests, at);
  }

  /**
   * A whole blob, verified; also one that this very task has put.
   * @throws GranaryError BLOB_UNKNOWN, STORE_CORRUPT, STORE_IO
   */
  readBlob(digest: Digest): Buffer {
    this.#setKey(digest);
    const known = this.#known.find(this.#key, 1) ?? REFERENCE;
    if (known === NEW_BIG) return this.#readStaged(digest);
    if (known >= 0) return this.#readAppended(known);
    // What this task has found stays readable to its end, also when it is condemned or moved meanwhile.
    const place = this.#placeInPacks();
    const row =
      place === undefined
        ? this.#view.liveBlob(digest)
        : { kind: "packed" as const, state: BLOB_STATE.live, ...place };
    if (row === undefined) throw new GranaryError("BLOB_UNKNOWN", `the store has no ${digest}`, { digest });
    return this.#parts.reader.read(digest, row);
  }

  /** A content that this very task has received, as far as those are kept: valid until its end. */
  received({ digest, size }: { digest: Digest; size: number }): Buffer | undefined {
    this.#setKey(digest);
    return this.#received.find(this.#key, size);
  }

  /**
   * Reads what of `blobs` lies in the packs in one go, for {@link copyBlob}; what was gathered before is forgotten.
   * @param blobs at most {@link GATHER_BYTES} together
   * @throws GranaryError STORE_CORRUPT when a segment is missing, STORE_IO
   */
  gather(blobs: Iterable<{ readonly digest: Digest; readonly size: number }>): void {
    const records: PlacedRecord[] = [];
    for (const { digest, size } of blobs) {
      if (size === 0 || size > GATHERED_RECORD_BYTES) continue;
      this.#setKey(digest);
      if (this.#received.find(this.#key, size) !== undefined || !this.#isKnown()) continue;
      const place = this.#placeInPacks();
      if (place?.size === size) records.push({ ...place, key: Buffer.from(this.#key) });
    }
    this.#gathered.gather(records, ({ key, segment }) =>
      this.#parts.reader.openSegment(digestFromBytes(key.subarray(1)), segment),
    );
  }

  /**
   * {@link readBlob} into a buffer at `at`, for many blobs in a row: what the task has received or {@link gather}ed is taken from there.
   * `size` is what the caller expects, and has room for.
   * @throws GranaryError BLOB_UNKNOWN, STORE_CORRUPT, STORE_IO
   */
  copyBlob({ digest, size }: { digest: Digest; size: number }, into: Uint8Array, at: number): void {
    this.#setKey(digest);
    const held = this.#received.find(this.#key, size) ?? this.#gathered.find(this.#key, size);
    const bytes = held ?? this.readBlob(digest);
    if (bytes.byteLength !== size) throw corrupt(digest, `it has ${bytes.byteLength} bytes, not ${size}`);
    into.set(bytes, at);
  }

  /** The layer of a subtree, when it has been computed before and can still be read; the task is taken to rely on it. */
  layer(subtree: Digest, encoder: number): { digest: Digest; size: number } | undefined {
    const fresh = this.#layers.find((row) => row.subtree === subtree && row.encoder === encoder);
    if (fresh !== undefined) return { digest: fresh.digest, size: fresh.size };
    // With a listing that the task brings itself the row could go before the commit: GC deletes it with the one that it condemned.
    if (!this.has(subtree) || this.brings(subtree)) return undefined;
    return this.#view.memo(subtree, encoder);
  }

  /** Records a computed layer; its subtree's listing has to have been put before. */
  addLayer(row: LayerRow): void {
    if (!this.has(row.subtree)) throw new RangeError(`the listing of layer ${row.digest} was not put`);
    if (this.layer(row.subtree, row.encoder) !== undefined) return;
    const payload = encodeLayerPayload(row);
    this.#beginAppend();
    const offset = this.#parts.appender.append(RECORD_KIND.layer, payload, {
      bytes: hash("sha256", payload, "buffer"),
      at: 0,
    });
    this.#layers.push({ ...row, segment: this.#parts.appender.id, offset });
  }

  /** Hands everything to the operating system (not to the disk) and answers what the committer needs. */
  finish(): CommitBatch {
    this.#assertActive();
    if (this.#unfinished.size > 0) throw new RangeError("a blob was begun and not ended");
    const { appender } = this.#parts;
    if (this.#appended) appender.flush();
    const batch: CommitBatch = {
      segments: this.#appended ? [{ id: appender.id, end: appender.end }] : [],
      blobs: this.#rows.take(),
      bigFiles: this.#big.map(({ file }) => file),
      layers: [...this.#layers],
      references: this.#references.take(),
      epoch: this.#epoch,
    };
    this.#reset();
    return batch;
  }

  /** Takes back everything that the task wrote. */
  abandon(): void {
    if (!this.#active) return;
    const { appender } = this.#parts;
    if (this.#appended) appender.truncate(this.#start);
    for (const { writer } of this.#big) this.#unfinished.add(writer);
    const leftovers = [...this.#unfinished];
    this.#reset();
    for (const writer of leftovers) writer.discard();
  }

  #setKey(digest: Digest): void {
    this.#assertActive();
    this.#key.write(digest.slice(7), 1, 32, "hex");
  }

  /** Whether the digest in the key is new or known to this task, or in the index; then it becomes a reference. */
  #isKnown(): boolean {
    if (this.#known.find(this.#key, 1) !== undefined) return true;
    const row = this.#parts.index.get(this.#key);
    if (row?.[BLOB_STATE_AT] !== BLOB_STATE.live) return false;
    this.#known.add(this.#key, 1, REFERENCE - this.#places.add(row));
    const { bytes, at } = this.#references.extend(32);
    this.#key.copy(bytes, at, 1);
    return true;
  }

  /** Where the index has the content of the digest in the key, which is known; undefined when it is new or has a file of its own. */
  #placeInPacks(): Place | undefined {
    const known = this.#known.find(this.#key, 1) ?? NEW_BIG;
    return known > REFERENCE ? undefined : this.#places.at(REFERENCE - known);
  }

  #append(payload: Uint8Array): void {
    this.#beginAppend();
    const { appender } = this.#parts;
    const offset = appender.append(RECORD_KIND.blob, payload, { bytes: this.#key, at: 1 });
    const { bytes, at } = this.#rows.extend(BLOB_ROW_BYTES);
    this.#key.copy(bytes, at, 1);
    writeU32(bytes, appender.id, at + 32);
    writeU48(bytes, offset, at + 36);
    writeU32(bytes, payload.byteLength, at + 42);
    this.#known.add(this.#key, 1, at / BLOB_ROW_BYTES);
  }

  #beginAppend(): void {
    this.#assertActive();
    if (this.#appended) return;
    const { appender } = this.#parts;
    if (appender.id === 0) {
      appender.open();
      this.#parts.slot.setSegment(appender.id);
      this.#start = SEGMENT_HEADER_BYTES;
      this.#cell[TASK_CELL.segmentStart] = this.#start;
      this.#cell[TASK_CELL.segmentId] = appender.id;
    }
    this.#appended = true;
  }

  #beginCollected(size: number): BlobWriter {
    const room = this.#received.room(size);
    const buffer = room ?? this.#collectedOf(size);
    let filled = 0;
    return {
      write: (chunk) => {
        if (filled + chunk.byteLength > size) throw new RangeError(`more than the announced ${size} bytes`);
        buffer.set(chunk, filled);
        filled += chunk.byteLength;
      },
      end: () => {
        if (filled !== size) throw new RangeError(`${filled} bytes were written, ${size} announced`);
        const rows = this.#rows.length;
        const digest = this.putBlob(buffer);
        if (room !== undefined) this.#received.keep(this.#key, size, { isNew: this.#rows.length > rows });
        return digest;
      },
    };
  }

  #collectedOf(size: number): Buffer {
    if (this.#collected === undefined || this.#collected.byteLength < size)
      this.#collected = Buffer.allocUnsafeSlow(Math.max(size, LIMITS.crcChunkBytes));
    return this.#collected.subarray(0, size);
  }

  #beginBig(size: number): BlobWriter {
    this.#assertActive();
    if (this.#unfinished.size > 0) throw new RangeError("big blobs share a buffer: one at a time");
    this.#stagingCount += 1;
    const { paths, fs, chunk } = this.#parts;
    const name = this.#stagingPrefix + this.#stagingCount;
    const writer = new StagingWriter({ name, size, paths, fs, chunk });
    this.#unfinished.add(writer);
    return {
      write: (bytes) => writer.write(bytes),
      end: () => {
        const { sha256, crcs } = writer.end();
        this.#key.set(sha256, 1);
        const digest = digestFromBytes(sha256);
        if (this.#isKnown()) writer.discard();
        else {
          this.#known.add(this.#key, 1, NEW_BIG);
          this.#big.push({ file: { digest, size, stagingName: writer.name, crcs }, writer });
        }
        this.#unfinished.delete(writer);
        return digest;
      },
    };
  }

  #readAppended(rowNumber: number): Buffer {
    const row = this.#rows.view(rowNumber * BLOB_ROW_BYTES, (rowNumber + 1) * BLOB_ROW_BYTES);
    const payload = Buffer.allocUnsafeSlow(readU32(row, 42));
    this.#parts.appender.read(payload, readU48(row, 36) + RECORD_HEADER_BYTES);
    return payload;
  }

  #readStaged(digest: Digest): Buffer {
    const entry = this.#big.find(({ file }) => file.digest === digest);
    if (entry === undefined) throw new RangeError(`${digest} is not in staging`);
    return entry.writer.readBack();
  }

  #reset(): void {
    this.#active = false;
    this.#known.clear();
    this.#rows.clear();
    this.#references.clear();
    this.#places.clear();
    this.#layers.length = 0;
    this.#big.length = 0;
    this.#unfinished.clear();
    this.#cell[TASK_CELL.segmentId] = this.#cell[TASK_CELL.slot] = 0;
    this.#parts.slot.ended();
  }

  #assertActive(): void {
    if (!this.#active) throw new RangeError("no task has begun");
  }
}
