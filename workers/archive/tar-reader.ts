import { quote } from "../../proto/entry-path.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { BuiltTree } from "../../proto/tree-builder.ts";
import type { ArchiveSink } from "./archive-sink.ts";
import { EntryCollector } from "./entry-collector.ts";
import { isMetaType, MetaHeaders } from "./meta-headers.ts";
import { BLOCK_BYTES, decodeHeader, isZero, lossyName } from "./tar-header.ts";

/** What the next byte belongs to. */
type State = "header" | "meta" | "file" | "padding" | "tail";

/**
 * A tar stream as a state machine over windows of any size: headers are decoded in place, file content goes on as views.
 * The grammar: entries with their metadata headers before them, zero padding, two zero blocks, then only zeros.
 */
export class TarReader {
  readonly #limits: ArchiveLimits;
  readonly #sink: ArchiveSink;
  readonly #meta: MetaHeaders;
  readonly #entries: EntryCollector;
  /** A header that lies in two windows. */
  readonly #split = Buffer.alloc(BLOCK_BYTES);
  #splitBytes = 0;
  #state: State = "header";
  #restBytes = 0;
  #paddingBytes = 0;
  #zeroBlocks = 0;
  /** Stream offset of the window in work, and of the header that counts for messages. */
  #windowOffset = 0;
  #headerOffset = 0;
  #name = "";

  constructor(options: { limits: ArchiveLimits; portableNames: boolean; strip: number; sink: ArchiveSink }) {
    this.#limits = options.limits;
    this.#sink = options.sink;
    this.#meta = new MetaHeaders(options.limits);
    this.#entries = new EntryCollector(options);
  }

  /** Entries so far, metadata headers not counted. */
  get entryCount(): number {
    return this.#entries.count;
  }

  /** Takes the next window, which may be reused afterwards. @throws GranaryError ARCHIVE_* with `offset` of the header at fault */
  push(window: Buffer): void {
    let at = 0;
    while (at < window.length) {
      if (this.#state === "header") at = this.#takeHeader(window, at);
      else if (this.#state === "tail") at = this.#takeTail(window, at);
      else if (this.#state === "padding") at = this.#takePadding(window, at);
      else at = this.#takeBody(window, at);
    }
    this.#windowOffset += window.length;
  }

  /** The stream is at its end. @throws GranaryError ARCHIVE_TRUNCATED, ARCHIVE_NO_END_MARKER, ARCHIVE_EMPTY, ARCHIVE_LINK_*, ARCHIVE_PATH_* */
  finish(): BuiltTree {
    const offset = this.#windowOffset;
    if (offset === 0)
      throw new GranaryError("ARCHIVE_EMPTY", "the gzip stream holds no tar archive", { offset });
    if (this.#state === "header" && this.#splitBytes === 0) {
      this.#refuseDangling();
      const found = this.#zeroBlocks === 1 ? "one zero block" : "none";
      throw new GranaryError(
        "ARCHIVE_NO_END_MARKER",
        `the archive must end in two zero blocks, it has ${found}`,
        { offset },
      );
    }
    if (this.#state !== "tail") {
      const where =
        this.#state === "header"
          ? "in a header"
          : `in ${this.#state === "padding" ? "the padding" : "the content"} of ${quote(this.#name)}`;
      throw new GranaryError("ARCHIVE_TRUNCATED", `the archive ends ${where}`, { offset, path: this.#name });
    }
    return this.#entries.finish();
  }

  #takeHeader(window: Buffer, at: number): number {
    if (this.#splitBytes === 0 && window.length - at >= BLOCK_BYTES) {
      this.#headerOffset = this.#windowOffset + at;
      this.#header(window, at);
      return at + BLOCK_BYTES;
    }
    if (this.#splitBytes === 0) this.#headerOffset = this.#windowOffset + at;
    const taken = Math.min(BLOCK_BYTES - this.#splitBytes, window.length - at);
    window.copy(this.#split, this.#splitBytes, at, at + taken);
    this.#splitBytes += taken;
    if (this.#splitBytes === BLOCK_BYTES) {
      this.#splitBytes = 0;
      this.#header(this.#split, 0);
    }
    return at + taken;
  }

  #header(block: Buffer, at: number): void {
    if (block[at] === 0 && isZero(block, at, BLOCK_BYTES)) {
      this.#zeroBlock();
      return;
    }
    if (this.#zeroBlocks > 0) {
      throw new GranaryError("ARCHIVE_NO_END_MARKER", "a single zero block stands between entries", {
        offset: this.#headerOffset,
      });
    }
    try {
      this.#decode(block, at);
    } catch (error) {
      throw this.#located(error, block, at);
    }
  }

  #decode(block: Buffer, at: number): void {
    const header = decodeHeader(block, at);
    const size = isMetaType(header.type) ? header.size : (this.#meta.size ?? header.size);
    this.#restBytes = size;
    this.#paddingBytes = -size & (BLOCK_BYTES - 1);
    if (isMetaType(header.type)) {
      this.#meta.begin(header);
      this.#name = lossyName(block, at);
      this.#state = "meta";
      if (size === 0) this.#endBody();
      return;
    }
    const file = this.#entries.take(block, at, header, this.#meta);
    this.#meta.clear();
    if (file === undefined) return;
    this.#refuseTooLarge(file.path, size);
    this.#name = file.path;
    this.#sink.beginFile(file);
    this.#state = "file";
    if (size === 0) this.#endBody();
  }

  /** Before a byte of a file is taken, its claimed size is held against what is left. */
  #refuseTooLarge(path: string, size: number): void {
    const end = this.#headerOffset + BLOCK_BYTES + size;
    if (end > this.#limits.expandedBytes) {
      throw new GranaryError(
        "ARCHIVE_TOO_LARGE",
        `${quote(path)} takes the archive to ${end} bytes, limit ${this.#limits.expandedBytes}`,
        {
          path,
          actual: end,
          limit: this.#limits.expandedBytes,
        },
      );
    }
  }

  #takeBody(window: Buffer, at: number): number {
    const end = Math.min(window.length, at + this.#restBytes);
    const part = window.subarray(at, end);
    if (this.#state === "file") this.#sink.fileData(part);
    else this.#meta.data(part);
    this.#restBytes -= end - at;
    if (this.#restBytes === 0) this.#endBody();
    return end;
  }

  #endBody(): void {
    if (this.#state === "file") this.#entries.setDigest(this.#name, this.#sink.endFile());
    else this.#endMeta();
    this.#state = this.#paddingBytes > 0 ? "padding" : "header";
  }

  #endMeta(): void {
    try {
      this.#meta.end();
    } catch (error) {
      throw this.#located(error);
    }
  }

  #takePadding(window: Buffer, at: number): number {
    const taken = Math.min(this.#paddingBytes, window.length - at);
    if (!isZero(window, at, taken)) {
      throw new GranaryError("ARCHIVE_BAD_PADDING", `the padding behind ${quote(this.#name)} is not zero`, {
        path: this.#name,
        offset: this.#headerOffset,
      });
    }
    this.#paddingBytes -= taken;
    if (this.#paddingBytes === 0) this.#state = "header";
    return at + taken;
  }

  #zeroBlock(): void {
    this.#refuseDangling();
    this.#zeroBlocks += 1;
    if (this.#zeroBlocks === 2) this.#state = "tail";
  }

  #refuseDangling(): void {
    const { pending } = this.#meta;
    if (pending === "") return;
    throw new GranaryError(
      "ARCHIVE_META_CONFLICT",
      `the archive ends behind a metadata header of type ${pending.slice(-1)}`,
      {
        types: pending,
        offset: this.#headerOffset,
      },
    );
  }

  #takeTail(window: Buffer, at: number): number {
    if (!isZero(window, at, window.length - at)) {
      throw new GranaryError(
        "ARCHIVE_TRAILING_DATA",
        "something other than zero bytes follows the end of the archive",
        {
          offset: this.#windowOffset + at,
        },
      );
    }
    return window.length;
  }

  /** Adds where it happened to an error of the grammar. */
  #located(error: unknown, block?: Buffer, at = 0): unknown {
    if (!(error instanceof GranaryError && error.code.startsWith("ARCHIVE_"))) return error;
    const path = block === undefined ? this.#name : (this.#meta.path ?? lossyName(block, at));
    return new GranaryError(
      error.code,
      error.message,
      { path: path.slice(0, 200), offset: this.#headerOffset, ...error.detail },
      { cause: error },
    );
  }
}
