import { createHash } from "node:crypto";
import fs from "node:fs";
import { type Digest, digestFromHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { StoreFs } from "./fs.ts";

/** Chunks are collected up to here and written with one writev: the copy that a joined buffer would cost is saved. */
const WRITE_BYTES = 256 * 1024;
/** What has less is held until it is sealed, and written by the committer: no file operation on the thread that serves HTTP. */
const SMALL_BYTES = 64 * 1024;
/** `write` waits when more than this is on its way to the disk. */
const BUFFERED_BYTES = 4 * WRITE_BYTES;
/** IOV_MAX is 1024; tiny chunks are written earlier. */
const WRITE_CHUNKS = 512;

export interface SealedUpload {
  readonly digest: Digest;
  readonly size: number;
  readonly path: string;
}

export interface SealOptions {
  readonly leaseMs: number;
  /** Ids that get as long a lease, in the same transaction. */
  readonly alsoHeld?: readonly string[];
}

/** An archive on its way into the inbox. Ends with `seal` or `abort`. Not to be used by two callers at a time. */
export interface Upload {
  /** Takes the chunk over; resolves when the next one may come. @throws GranaryError STORE_FULL, STORE_IO */
  write(chunk: Uint8Array): Promise<void>;
  readonly size: number;
  /** Durable, and held by a lease of the upload's id, when this resolves. @throws GranaryError STORE_FULL, STORE_IO */
  seal(options: SealOptions): Promise<SealedUpload>;
  /** Removes what was written. Does nothing after `seal`. */
  abort(): Promise<void>;
}

/**
 * A stream on its way into the inbox that may break off and go on, in this process or a later one: what was written stays as long
 * as the lease of its id. Content is verified where it is used, so nothing is hashed here. Not to be used by two callers at a time.
 */
export interface ResumableUpload {
  /** As {@link Upload.write}. */
  write(chunk: Uint8Array): Promise<void>;
  /** Where the next chunk goes. */
  readonly size: number;
  /** As {@link Upload.seal}; a failure leaves what was written. */
  seal(options: SealOptions): Promise<{ readonly size: number }>;
  /** Hands what was written to the operating system and lets go of it. @throws GranaryError STORE_FULL, STORE_IO */
  pause(): Promise<void>;
}

interface UploadParts {
  readonly uploadId: string;
  readonly partialPath: string;
  readonly path: string;
  readonly fs: StoreFs;
  /** Asks the committer to make the file durable under its lease; it writes what comes in `bytes`. */
  readonly commit: (sealed: SealOptions & { size: number; bytes?: Uint8Array }) => Promise<void>;
  /** Called once, when the upload has been sealed, with its size, or has ended otherwise. */
  readonly onEnd: (sealedBytes?: number) => void;
}

export async function openUpload(parts: UploadParts): Promise<Upload> {
  return new InboxUpload(parts, undefined, undefined);
}

/** Begins the stream, or goes on behind what there is of it. */
export async function resumeUpload(parts: UploadParts): Promise<ResumableUpload> {
  const fd = await openFile(parts, 0);
  return new InboxUpload(parts, fd, fs.fstatSync(fd).size);
}

function openFile({ fs: storeFs, uploadId, partialPath }: UploadParts, flags: number): Promise<number> {
  const { O_WRONLY, O_CREAT } = fs.constants;
  return storeFs.runAsync("inbox.open", uploadId, () => {
    return new Promise<number>((resolve, reject) => {
      fs.open(partialPath, O_WRONLY | O_CREAT | flags, 0o600, (error, opened) =>
        error ? reject(error) : resolve(opened),
      );
    });
  });
}

class InboxUpload implements Upload, ResumableUpload {
  readonly #parts: UploadParts;
  /** Opened with the first write. */
  #fd: number | undefined;
  readonly #resumable: boolean;
  readonly #hash = createHash("sha256");
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #size = 0;
  #written = 0;
  /** The write under way, if any; there is one at a time. Never rejects: failures end up in `#error`. */
  #writing: Promise<void> | undefined;
  #error: unknown;
  #state: "open" | "sealing" | "ended" = "open";

  /** @param resumedAt length of what there is of a stream that may break off; undefined for one that may not */
  constructor(parts: UploadParts, fd: number | undefined, resumedAt: number | undefined) {
    this.#parts = parts;
    this.#fd = fd;
    this.#resumable = resumedAt !== undefined;
    this.#size = this.#written = resumedAt ?? 0;
  }

  get size(): number {
    return this.#size;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    if (!this.#resumable) this.#hash.update(chunk);
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.byteLength;
    this.#size += chunk.byteLength;
    if (this.#writing === undefined && this.#due()) this.#startWrite();
    while (this.#writing !== undefined && this.#pendingBytes >= BUFFERED_BYTES) await this.#writing;
    this.#throwIfFailed();
  }

  async seal(options: SealOptions): Promise<SealedUpload> {
    this.#assertOpen();
    this.#state = "sealing";
    try {
      await this.#commit(options);
    } catch (error) {
      if (this.#resumable) this.#end();
      else await this.#remove({ sealed: true });
      throw error;
    }
    this.#end(this.#size);
    return { digest: digestFromHex(this.#hash.digest("hex")), size: this.#size, path: this.#parts.path };
  }

  async #commit(options: SealOptions): Promise<void> {
    const size = this.#size;
    if (this.#fd === undefined && this.#writing === undefined && this.#error === undefined)
      return this.#parts.commit({ ...options, size, bytes: Buffer.concat(this.#pending) });
    await this.#finish();
    return this.#parts.commit({ ...options, size });
  }

  async abort(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "sealing";
    this.#pending = [];
    await this.#writing;
    await this.#close();
    await this.#remove({ sealed: false });
  }

  async pause(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "sealing";
    try {
      await this.#finish();
    } finally {
      this.#end();
    }
  }

  /** Writes what is pending and lets go of the file, whatever comes of that. */
  async #finish(): Promise<void> {
    try {
      await this.#drain();
    } finally {
      await this.#close();
    }
  }

  #due(): boolean {
    const enough = this.#fd === undefined ? SMALL_BYTES : WRITE_BYTES;
    return this.#pendingBytes >= enough || this.#pending.length >= WRITE_CHUNKS;
  }

  #startWrite(): void {
    const chunks = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#writing = this.#writeAll(chunks).then(
      () => {
        this.#writing = undefined;
        if (this.#due()) this.#startWrite();
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#error = error;
      },
    );
  }

  async #writeAll(chunks: Uint8Array[]): Promise<void> {
    let left = chunks;
    this.#fd ??= await openFile(this.#parts, fs.constants.O_TRUNC);
    const fd = this.#fd;
    while (left.length > 0) {
      const written = await this.#parts.fs.runAsync("inbox.write", this.#parts.uploadId, () =>
        this.#writev(fd, left),
      );
      this.#written += written;
      left = dropBytes(left, written);
    }
  }

  #writev(fd: number, chunks: Uint8Array[]): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.writev(fd, chunks, this.#written, (error, written) => (error ? reject(error) : resolve(written)));
    });
  }

  async #drain(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#throwIfFailed();
    if (this.#pending.length > 0) this.#startWrite();
    while (this.#writing !== undefined) await this.#writing;
    this.#throwIfFailed();
  }

  #close(): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return Promise.resolve();
    return new Promise((resolve, reject) => fs.close(fd, (error) => (error ? reject(error) : resolve())));
  }

  #end(sealedBytes?: number): void {
    this.#state = "ended";
    this.#parts.onEnd(sealedBytes);
  }

  async #remove({ sealed }: { sealed: boolean }): Promise<void> {
    this.#end();
    await fs.promises.rm(this.#parts.partialPath, { force: true });
    if (sealed) await fs.promises.rm(this.#parts.path, { force: true });
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  #assertOpen(): void {
    if (this.#state !== "open")
      throw new GranaryError("STATE_CONFLICT", `upload ${this.#parts.uploadId} has ended`);
  }
}

/** What remains of `chunks` behind their first `count` bytes. */
function dropBytes(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  let index = 0;
  for (const chunk of chunks) {
    if (chunk.byteLength > skip) break;
    skip -= chunk.byteLength;
    index += 1;
  }
  const left = chunks.slice(index);
  const first = left[0];
  if (first !== undefined && skip > 0) left[0] = first.subarray(skip);
  return left;
}
