import { crc32 } from "node:zlib";
import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { GzipInput } from "./gzip-input.ts";

const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;

/**
 * Reads the rest of a gzip member header (RFC 1952, section 2.3) behind its first byte 0x1f, which the caller took.
 * Name, comment and extra field are skipped, a header crc is checked.
 *
 * @throws GranaryError ARCHIVE_NOT_GZIP, ARCHIVE_TRUNCATED, ARCHIVE_GZIP_CORRUPT, ARCHIVE_GZIP_HEADER_TOO_LARGE
 */
export function readGzipHeader(input: GzipInput, limits: ArchiveLimits): void {
  const cursor = new HeaderCursor(input, limits.gzipHeaderBytes);
  if (cursor.next() !== 0x8b)
    throw new GranaryError("ARCHIVE_NOT_GZIP", "the body does not begin with the gzip magic 1f 8b");
  const method = cursor.next();
  if (method !== 8) throw corrupt(`unknown compression method ${method}`, input);
  const flags = cursor.next();
  if ((flags & FLAG.reserved) !== 0) throw corrupt(`reserved header flags 0x${flags.toString(16)}`, input);
  for (let i = 0; i < 6; i++) cursor.next();
  if ((flags & FLAG.extra) !== 0) {
    const low = cursor.next();
    for (let rest = low + 256 * cursor.next(); rest > 0; rest--) cursor.next();
  }
  if ((flags & FLAG.name) !== 0) cursor.skipText();
  if ((flags & FLAG.comment) !== 0) cursor.skipText();
  if ((flags & FLAG.headerCrc) !== 0) {
    const expected = cursor.crc() & 0xffff;
    const low = cursor.next();
    if (low + 256 * cursor.next() !== expected) throw corrupt("wrong header crc", input);
  }
}

class HeaderCursor {
  readonly #input: GzipInput;
  readonly #limit: number;
  readonly #bytes: number[] = [0x1f];

  constructor(input: GzipInput, limit: number) {
    this.#input = input;
    this.#limit = limit;
  }

  next(): number {
    const value = this.#input.byte();
    if (value < 0)
      throw new GranaryError("ARCHIVE_TRUNCATED", "the archive ends in a gzip header", {
        compressedOffset: this.#input.consumedBytes,
      });
    this.#bytes.push(value);
    if (this.#bytes.length > this.#limit) {
      throw new GranaryError(
        "ARCHIVE_GZIP_HEADER_TOO_LARGE",
        `a gzip header has more than ${this.#limit} bytes`,
        {
          actual: this.#bytes.length,
          limit: this.#limit,
        },
      );
    }
    return value;
  }

  skipText(): void {
    while (this.next() !== 0);
  }

  crc(): number {
    return crc32(Buffer.from(this.#bytes));
  }
}

function corrupt(what: string, input: GzipInput): GranaryError {
  return new GranaryError("ARCHIVE_GZIP_CORRUPT", `${what} in a gzip header`, {
    compressedOffset: input.consumedBytes,
  });
}
