import { GranaryError } from "../../proto/errors.ts";
import { type ArchiveLimits, LIMITS } from "../../proto/limits.ts";
import { type PaxRecords, parsePax } from "./pax-records.ts";
import type { TarHeader } from "./tar-header.ts";
import { decodeName, fieldEnd } from "./tar-text.ts";

/** Type bytes of headers that describe the entry behind them: pax global, pax, GNU long name, GNU long link. */
const META = { global: 0x67, pax: 0x78, longName: 0x4c, longLink: 0x4b } as const;

export function isMetaType(type: number): boolean {
  return type === META.global || type === META.pax || type === META.longName || type === META.longLink;
}

/**
 * What the metadata headers since the last entry say about the next one: `[g]... [x]` or `[g]... [L] [K]`, each of x, L and K
 * at most once. Readers differ in which of two wins, so there are never two.
 */
export class MetaHeaders {
  readonly #limits: ArchiveLimits;
  #totalBytes = 0;
  #body = Buffer.alloc(0);
  #type = 0;
  #filledBytes = 0;
  #sizeBytes = 0;
  #pending = "";
  path: string | undefined;
  link: string | undefined;
  size: number | undefined;

  constructor(limits: ArchiveLimits) {
    this.#limits = limits;
  }

  /** The type letters of the headers that still wait for their entry. */
  get pending(): string {
    return this.#pending;
  }

  /** A metadata header begins. @throws GranaryError ARCHIVE_BAD_HEADER, ARCHIVE_META_CONFLICT, ARCHIVE_META_TOO_LARGE */
  begin(header: TarHeader): void {
    const { type, size: sizeBytes } = header;
    // node-tar leaves such headers out, the others obey them.
    if (header.linkBytes > 0)
      throw new GranaryError("ARCHIVE_BAD_HEADER", "a metadata header has a link name");
    if (header.nameBytes === 0) throw new GranaryError("ARCHIVE_BAD_HEADER", "a metadata header has no name");
    const letter = String.fromCharCode(type);
    const before = this.#pending.replaceAll("g", "");
    if (
      before.includes(letter) ||
      (before !== "" && (type === META.global || type === META.pax || before === "x"))
    ) {
      throw new GranaryError(
        "ARCHIVE_META_CONFLICT",
        `a metadata header of type ${letter} follows one of type ${before.slice(-1)}`,
        {
          types: `${before}${letter}`,
        },
      );
    }
    this.#refuseTooLarge(sizeBytes, this.#limits.metaBytes, "a metadata header has");
    // What every honest pax entry carries (about 90 bytes of times) does not count: 12,000 such files would reach the limit.
    this.#totalBytes += Math.max(0, sizeBytes - LIMITS.metaFreeBytes);
    this.#refuseTooLarge(this.#totalBytes, this.#limits.metaTotalBytes, "the metadata headers have");
    if (!this.#pending.endsWith(letter)) this.#pending += letter;
    if (this.#body.length < sizeBytes) this.#body = Buffer.allocUnsafe(Math.max(4096, sizeBytes));
    this.#type = type;
    this.#sizeBytes = sizeBytes;
    this.#filledBytes = 0;
  }

  /** Takes the next part of the body. */
  data(part: Uint8Array): void {
    this.#body.set(part, this.#filledBytes);
    this.#filledBytes += part.byteLength;
  }

  /** The body is complete. @throws GranaryError ARCHIVE_BAD_PAX, ARCHIVE_PAX_*, ARCHIVE_NAME_* */
  end(): void {
    const body = this.#body.subarray(0, this.#sizeBytes);
    if (this.#type === META.longName) this.path = longName(body);
    else if (this.#type === META.longLink) this.link = longName(body);
    else this.#takePax(parsePax(body, { global: this.#type === META.global }));
  }

  /** Forgets what was said: the entry has taken it. */
  clear(): void {
    this.#pending = "";
    this.path = undefined;
    this.link = undefined;
    this.size = undefined;
  }

  #takePax(records: PaxRecords): void {
    if (this.#type === META.global) return;
    this.path = records.path;
    this.link = records.linkpath;
    this.size = records.size;
  }

  #refuseTooLarge(actual: number, limit: number, what: string): void {
    if (actual > limit) {
      throw new GranaryError("ARCHIVE_META_TOO_LARGE", `${what} ${actual} bytes, limit ${limit}`, {
        actual,
        limit,
      });
    }
  }
}

/** The body of a GNU long-name header: a name and then only NUL. */
function longName(body: Buffer): string {
  const end = fieldEnd(body, 0, body.length);
  if (end === 0) throw new GranaryError("ARCHIVE_PATH_SEGMENT", "a GNU long name is empty");
  for (let i = end; i < body.length; i++) {
    if (body[i] !== 0)
      throw new GranaryError("ARCHIVE_NAME_CHARACTER", "a GNU long name has bytes behind a NUL", {
        actual: "U+0000",
      });
  }
  return decodeName(body, 0, end, "GNU long name");
}
