import fs from "node:fs";
import { crc32 } from "node:zlib";
import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { corrupt } from "./blob-reader.ts";
import { checkRecord } from "./check-record.ts";
import { errnoOf, readFully, type StoreFs } from "./fs.ts";
import type { BlobRow } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import { readU32 } from "./little-endian.ts";
import { RECORD_HEADER_BYTES, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
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
  /** Told of content that failed verification: it must not be served again. */
  readonly onCorrupt: (digest: Digest) => void;
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

  /** The row of content that may be served, if there is any. */
  find(digest: Digest): BlobRow | undefined {
    return this.#parts.view.liveBlob(digest);
  }

  /** {@link ContentReader.find} for content that has to be there. @throws GranaryError BLOB_UNKNOWN */
  row(digest: Digest): BlobRow {
    const row = this.find(digest);
    if (row === undefined) throw new GranaryError("BLOB_UNKNOWN", `the store has no ${digest}`, { digest });
    return row;
  }

  /** A whole packed blob. @throws GranaryError STORE_CORRUPT, STORE_IO */
  async packed(blob: PackedBlob): Promise<Buffer> {
    const { segment, offset, size } = blob.row;
    const bytes = await this.#parts.segments.read(segment, offset, offset + size + RECORD_OVERHEAD_BYTES);
    return this.#verifiedPayload(blob, bytes, "sha256");
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
    const bytes = await this.#parts.segments.read(first.row.segment, start, end);
    return blobs.map((blob) => {
      const at = blob.row.offset - start;
      return this.#verifiedPayload(
        blob,
        bytes.subarray(at, at + blob.row.size + RECORD_OVERHEAD_BYTES),
        "crc",
      );
    });
  }

  /** A part of a big blob in pieces of up to 1 MiB; every MiB that is touched is verified by its crc. */
  async *big(
    digest: Digest,
    range: { size: number; start: number; end: number },
  ): AsyncGenerator<Buffer, void, undefined> {
    const crcs = this.#parts.view.crcs(digest);
    const file = await this.#openBig(digest);
    try {
      const { size } = await file.stat();
      if (size !== range.size || crcs?.byteLength !== Math.ceil(size / LIMITS.crcChunkBytes) * 4) {
        throw this.#fail(digest, "its file has another size");
      }
      let chunkStart = Math.floor(range.start / LIMITS.crcChunkBytes) * LIMITS.crcChunkBytes;
      while (chunkStart < range.end) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(LIMITS.crcChunkBytes, size - chunkStart));
        const got = await this.#parts.fs.runAsync("big.read", digest, () =>
          readFully(file.fd, chunk, chunkStart),
        );
        if (
          got !== chunk.byteLength ||
          crc32(chunk) !== readU32(crcs, (chunkStart / LIMITS.crcChunkBytes) * 4)
        ) {
          throw this.#fail(digest, `its MiB at ${chunkStart} has another crc32`);
        }
        yield chunk.subarray(Math.max(0, range.start - chunkStart), range.end - chunkStart);
        chunkStart += LIMITS.crcChunkBytes;
      }
    } finally {
      await file.close();
    }
  }

  #verifiedPayload({ digest, row }: PackedBlob, record: Buffer, by: "sha256" | "crc"): Buffer {
    const verdict = checkRecord(record, { digest, size: row.size, nonce: this.#nonce(row.segment), by });
    if (verdict === "corrupt") throw this.#fail(digest, "its record is damaged");
    if (verdict === "framing") this.#parts.onFraming(digest);
    return record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + row.size);
  }

  /** Never changes, because segment ids are never reused. */
  #nonce(segment: number): Uint8Array {
    const known = this.#nonces.get(segment);
    if (known !== undefined) return known;
    const nonce = this.#parts.view.segment(segment)?.nonce ?? Buffer.alloc(0);
    if (nonce.byteLength > 0) this.#nonces.set(segment, nonce);
    return nonce;
  }

  async #openBig(digest: Digest): Promise<fs.promises.FileHandle> {
    try {
      return await this.#parts.fs.runAsync("big.read", digest, () =>
        fs.promises.open(this.#parts.paths.bigFile(digest), "r"),
      );
    } catch (error) {
      if (errnoOf(error) === "ENOENT") throw this.#fail(digest, "its file is missing");
      throw error;
    }
  }

  #fail(digest: Digest, why: string): GranaryError {
    this.#parts.onCorrupt(digest);
    return corrupt(digest, why);
  }
}
