import { createHash } from "node:crypto";
import fs from "node:fs";
import { crc32 } from "node:zlib";
import { type Digest, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { corrupt } from "./blob-reader.ts";
import { checkRecord } from "./check-record.ts";
import { errnoOf, readFully, type StoreFs } from "./fs.ts";
import { BLOB_STATE, type BlobRow, liesAt } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import { readU32 } from "./little-endian.ts";
import { RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import type { Place } from "./place-list.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { StorePaths } from "./store-paths.ts";

type PackedRow = Extract<BlobRow, { kind: "packed" }>;

/** A packed blob to be read together with its neighbours. */
export interface PackedBlob {
  readonly digest: Digest;
  readonly row: PackedRow;
}

interface ReaderParts {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly view: IndexView;
  readonly segments: SegmentFiles;
  /** Told of content that failed verification where it lies, a big file undefined: it must not be served again. */
  readonly onCorrupt: (digest: Digest, at: Place | undefined) => void;
  /** Told of content that is right in a record that is not. */
  readonly onFraming: (digest: Digest) => void;
}

/** Reads blobs off the event loop. Nothing unverified leaves it: sha256 where a whole blob is read, crc32 where a part is. */
export class ContentReader {
  readonly #parts: ReaderParts;
  readonly #nonces = new Map<number, Uint8Array>();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /** The row of content that may be served. @throws GranaryError BLOB_UNKNOWN */
  row(digest: Digest): BlobRow {
    const row = this.#parts.view.liveBlob(digest);
    if (row === undefined) throw unknown(digest);
    return row;
  }

  /** The row of content for a read that has begun: what GC has condemned since is still there for it. */
  find(digest: Digest): BlobRow | undefined {
    const row = this.#parts.view.blob(digest);
    return row?.state === BLOB_STATE.damaged ? undefined : row;
  }

  /** A whole packed blob. @throws GranaryError STORE_CORRUPT, STORE_IO */
  async packed(blob: PackedBlob): Promise<Buffer> {
    const { segment, offset, size } = blob.row;
    const record = await this.#record(segment, offset, offset + size + RECORD_OVERHEAD_BYTES);
    return this.#payload(blob, record, "sha256") ?? this.#again(blob);
  }

  /**
   * Packed blobs of one segment, ascending by offset, in one read; verified by crc.
   * @throws GranaryError STORE_CORRUPT, STORE_IO
   */
  async neighbours(blobs: readonly PackedBlob[]): Promise<Buffer[]> {
    const first = blobs[0];
    const last = blobs.at(-1);
    if (first === undefined || last === undefined) return [];
    const start = first.row.offset;
    const end = last.row.offset + last.row.size + RECORD_OVERHEAD_BYTES;
    const bytes = await this.#record(first.row.segment, start, end);
    const payloads: Buffer[] = [];
    for (const blob of blobs) {
      const at = blob.row.offset - start;
      const record = bytes.subarray(at, at + blob.row.size + RECORD_OVERHEAD_BYTES);
      payloads.push(this.#payload(blob, record, "crc") ?? (await this.#again(blob)));
    }
    return payloads;
  }

  /** A part of a big blob in pieces of up to 1 MiB; every MiB that is touched is verified by its crc. */
  async *big(
    digest: Digest,
    range: { size: number; start: number; end: number },
  ): AsyncGenerator<Buffer, void, undefined> {
    const { size } = range;
    const crcs = this.#parts.view.crcs(digest);
    if (crcs?.byteLength !== Math.ceil(size / LIMITS.crcChunkBytes) * 4)
      throw this.#fail(digest, "it has no checksum for each MiB");
    let file = await this.#openBig(digest, size);
    try {
      let chunkStart = Math.floor(range.start / LIMITS.crcChunkBytes) * LIMITS.crcChunkBytes;
      while (chunkStart < range.end) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(LIMITS.crcChunkBytes, size - chunkStart));
        const got = await this.#parts.fs.runAsync("big.read", digest, () =>
          readFully(file.fd, chunk, chunkStart),
        );
        const crc = readU32(crcs, (chunkStart / LIMITS.crcChunkBytes) * 4);
        if (got === chunk.byteLength && crc32(chunk) === crc) {
          yield chunk.subarray(Math.max(0, range.start - chunkStart), range.end - chunkStart);
          chunkStart += LIMITS.crcChunkBytes;
          continue;
        }
        const now = await this.#openBig(digest, size);
        const isSame = (await now.stat()).ino === (await file.stat()).ino;
        await file.close();
        file = now;
        // What has come again since has taken the place of the file.
        if (isSame) throw this.#fail(digest, `its MiB at ${chunkStart} has another crc32`);
      }
    } finally {
      await file.close();
    }
  }

  /** Reads content whole; what is not as its digest says is told of, as by every read. @throws GranaryError STORE_IO */
  async verify(digest: Digest): Promise<void> {
    try {
      const row = this.find(digest);
      if (row === undefined) return;
      if (row.kind === "packed") {
        await this.packed({ digest, row });
        return;
      }
      const sha256 = createHash("sha256");
      for await (const chunk of this.big(digest, { size: row.size, start: 0, end: row.size }))
        sha256.update(chunk);
      if (sha256.digest("hex") !== digestHex(digest)) throw this.#fail(digest, "its file has another sha256");
    } catch (error) {
      if (!(error instanceof GranaryError) || !VERDICTS.has(error.code)) throw error;
    }
  }

  /** Nothing when there is no such segment. */
  async #record(segment: number, start: number, end: number): Promise<Buffer> {
    return (await this.#parts.segments.read(segment, start, end)) ?? Buffer.alloc(0);
  }

  /** undefined when the record is not that of the blob. */
  #payload({ digest, row }: PackedBlob, record: Buffer, by: "sha256" | "crc"): Buffer | undefined {
    const verdict = checkRecord(record, { digest, size: row.size, nonce: this.#nonce(row.segment), by });
    if (verdict === "corrupt") return undefined;
    if (verdict === "framing") this.#parts.onFraming(digest);
    return record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + row.size);
  }

  /** GC may have moved a blob between the look-up and the read; what still lies where it was found to be broken is broken. */
  async #again(blob: PackedBlob): Promise<Buffer> {
    const { digest, row } = blob;
    const now = this.find(digest);
    if (now === undefined) throw unknown(digest);
    if (now.kind !== "packed" || liesAt(now, row))
      throw this.#fail(digest, "its record is damaged or missing", row);
    return this.packed({ digest, row: now });
  }

  /** Never changes, because segment ids are never reused. */
  #nonce(segment: number): Uint8Array {
    const known = this.#nonces.get(segment);
    if (known !== undefined) return known;
    const nonce = this.#parts.view.segment(segment)?.nonce ?? Buffer.alloc(0);
    if (nonce.byteLength > 0) this.#nonces.set(segment, nonce);
    return nonce;
  }

  async #openBig(digest: Digest, size: number): Promise<fs.promises.FileHandle> {
    const file = await this.#parts.fs
      .runAsync("big.read", digest, () => fs.promises.open(this.#parts.paths.bigFile(digest), "r"))
      .catch((error: unknown) => {
        if (errnoOf(error) !== "ENOENT") throw error;
        if (this.find(digest) === undefined) throw unknown(digest);
        throw this.#fail(digest, "its file is missing");
      });
    if ((await file.stat()).size === size) return file;
    await file.close();
    throw this.#fail(digest, "its file has another size");
  }

  #fail(digest: Digest, why: string, at?: Place): GranaryError {
    this.#parts.onCorrupt(digest, at);
    return corrupt(digest, why);
  }
}

const VERDICTS: ReadonlySet<string> = new Set(["STORE_CORRUPT", "BLOB_UNKNOWN"]);

function unknown(digest: Digest): GranaryError {
  return new GranaryError("BLOB_UNKNOWN", `the store has no ${digest}`, { digest });
}
