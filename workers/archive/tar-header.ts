import { quote } from "../../proto/entry-path.ts";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import { type NumberStyle, readTarNumber } from "./tar-number.ts";
import { decodeName, fieldEnd } from "./tar-text.ts";

export const BLOCK_BYTES = 512;

/** Fields of a ustar header (POSIX.1-2017 pax, "ustar Interchange Format"): offset and length. */
type Field = readonly [at: number, length: number];
const NAME: Field = [0, 100];
const MODE: Field = [100, 8];
const UID: Field = [108, 8];
const GID: Field = [116, 8];
const SIZE: Field = [124, 12];
const MTIME: Field = [136, 12];
const CHECKSUM: Field = [148, 8];
const TYPE_AT = 156;
const LINK: Field = [157, 100];
const MAGIC_AT = 257;
const DEVMAJOR: Field = [329, 8];
const DEVMINOR: Field = [337, 8];
const PREFIX: Field = [345, 155];
const END_AT = 500;

const CHECKSUM_STYLE: NumberStyle = { leadingSpaces: true };
const MODE_STYLE: NumberStyle = { leadingSpaces: true };
const SIZE_STYLE: NumberStyle = { base256: true };
/** npm leaves owners out, so that the same package has the same bytes everywhere. */
const OWNER_STYLE: NumberStyle = { leadingSpaces: true, base256: true, empty: true };
const TIME_STYLE: NumberStyle = { leadingSpaces: true, base256: true, negative: true, empty: true };
const DEVICE_STYLE: NumberStyle = { leadingSpaces: true, empty: true };
const OWNER_MAX = 2 ** 32 - 1;
const TIME_MAX_S = 2 ** 40;

/** "ustar" NUL "00" as two big-endian words, and GNU's "ustar" space space NUL. */
const MAGIC_HIGH = 0x75737461;
const MAGIC_LOW_POSIX = 0x72003030;
const MAGIC_LOW_GNU = 0x72202000;

export interface TarHeader {
  /** The type byte as it stands. */
  readonly type: number;
  readonly mode: number;
  /** From the header field; a pax size replaces it. */
  readonly size: number;
  /** Lengths of the text in the name field and its like. */
  readonly nameBytes: number;
  readonly linkBytes: number;
  readonly prefixBytes: number;
}

/**
 * Decodes the header block at `at` and checks everything that can be checked without knowing what came before. Names stay
 * bytes: those of an entry with a pax or GNU name may be cut in the middle of a character.
 *
 * @throws GranaryError ARCHIVE_BAD_CHECKSUM, ARCHIVE_BAD_MAGIC, ARCHIVE_BAD_NUMBER, ARCHIVE_BAD_HEADER, ARCHIVE_NAME_CHARACTER
 */
export function decodeHeader(block: Buffer, at: number): TarHeader {
  const sums = checkChecksum(block, at);
  const gnu = checkMagic(block, at);
  const mode = readNumber("mode", block, at, MODE, MODE_STYLE, 0o7777777);
  const size = readNumber("size", block, at, SIZE, SIZE_STYLE, Number.POSITIVE_INFINITY);
  // These do not reach the tree, but some readers refuse rubbish in them and others skip it.
  readNumber("uid", block, at, UID, OWNER_STYLE, OWNER_MAX);
  readNumber("gid", block, at, GID, OWNER_STYLE, OWNER_MAX);
  readNumber("mtime", block, at, MTIME, TIME_STYLE, TIME_MAX_S);
  readNumber("devmajor", block, at, DEVMAJOR, DEVICE_STYLE, OWNER_MAX);
  readNumber("devminor", block, at, DEVMINOR, DEVICE_STYLE, OWNER_MAX);
  if (sums.behindPrefix !== 0) throw badHeader("bytes behind its last field", block, at);
  // GNU keeps times and sparse maps where ustar has the prefix: GNU tar skips them, Python joins them to the name.
  if (gnu && sums.prefix !== 0) throw badHeader("GNU fields where ustar has the prefix", block, at);
  return {
    type: block[at + TYPE_AT] ?? 0,
    mode,
    size,
    nameBytes: fieldBytes("name", block, at, NAME),
    linkBytes: sums.link === 0 ? 0 : fieldBytes("link name", block, at, LINK),
    prefixBytes: sums.prefix === 0 ? 0 : fieldBytes("prefix", block, at, PREFIX),
  };
}

/**
 * The path that the header itself spells: prefix and name. An empty name behind a prefix is how Python splits a directory's path
 * of 155 bytes or less that does not fit the name field: it comes out with a slash at its end.
 *
 * @throws GranaryError ARCHIVE_NAME_ENCODING, ARCHIVE_PATH_SEGMENT */
export function headerPath(block: Buffer, at: number, header: TarHeader): string {
  if (header.nameBytes === 0 && header.prefixBytes === 0)
    throw new GranaryError("ARCHIVE_PATH_SEGMENT", "an entry has no name");
  const name = decodeName(block, at, at + header.nameBytes, "name");
  if (header.prefixBytes === 0) return name;
  return `${decodeName(block, at + PREFIX[0], at + PREFIX[0] + header.prefixBytes, "prefix")}/${name}`;
}

/** The link target that the header itself spells. @throws GranaryError ARCHIVE_NAME_ENCODING */
export function headerLink(block: Buffer, at: number, header: TarHeader): string {
  return decodeName(block, at + LINK[0], at + LINK[0] + header.linkBytes, "link name");
}

/** Whether `length` bytes from `at` are all zero. */
export function isZero(block: Uint8Array, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (block[i] !== 0) return false;
  return true;
}

/** Sums of the bytes of fields that are mostly empty: 0 says so without another look (0.15 us an entry). */
interface FieldSums {
  readonly link: number;
  readonly prefix: number;
  readonly behindPrefix: number;
}

function checkChecksum(block: Buffer, at: number): FieldSums {
  const stored = readTarNumber(block, at + CHECKSUM[0], CHECKSUM[1], CHECKSUM_STYLE);
  const link = sumOf(block, at + LINK[0], at + MAGIC_AT);
  const prefix = sumOf(block, at + PREFIX[0], at + END_AT);
  const behindPrefix = sumOf(block, at + END_AT, at + BLOCK_BYTES);
  const others =
    sumOf(block, at, at + CHECKSUM[0]) +
    (block[at + TYPE_AT] ?? 0) +
    sumOf(block, at + MAGIC_AT, at + PREFIX[0]);
  // The checksum field counts as eight spaces. Sums of signed bytes, as ancient tars wrote them, are refused.
  const sum = 8 * 0x20 + link + prefix + behindPrefix + others;
  if (stored === sum) return { link, prefix, behindPrefix };
  const name = lossyName(block, at);
  throw new GranaryError(
    "ARCHIVE_BAD_CHECKSUM",
    `the header of ${quote(name)} has the checksum ${stored ?? "?"}, computed ${sum}`,
    {
      path: name,
      actual: stored ?? "not a number",
      expected: sum,
    },
  );
}

function sumOf(block: Uint8Array, start: number, end: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += block[i] ?? 0;
  return sum;
}

function checkMagic(block: Buffer, at: number): boolean {
  const low = block.readUInt32BE(at + MAGIC_AT + 4);
  if (block.readUInt32BE(at + MAGIC_AT) === MAGIC_HIGH && (low === MAGIC_LOW_POSIX || low === MAGIC_LOW_GNU))
    return low === MAGIC_LOW_GNU;
  const actual = block.toString("latin1", at + MAGIC_AT, at + MAGIC_AT + 8);
  const name = lossyName(block, at);
  throw new GranaryError(
    "ARCHIVE_BAD_MAGIC",
    `the header of ${quote(name)} has the magic ${JSON.stringify(actual)}`,
    { path: name, actual },
  );
}

/** Readers disagree about what follows a NUL in a name (node-tar reads on behind a line feed), so nothing may. */
function fieldBytes(what: string, block: Buffer, at: number, [offset, length]: Field): number {
  const start = at + offset;
  const end = fieldEnd(block, start, length);
  if (isZero(block, end, start + length - end)) return end - start;
  const name = lossyName(block, at);
  throw new GranaryError("ARCHIVE_NAME_CHARACTER", `the ${what} of ${quote(name)} has bytes behind a NUL`, {
    path: name,
    actual: "U+0000",
  });
}

function readNumber(
  what: string,
  block: Buffer,
  at: number,
  [offset, length]: Field,
  style: NumberStyle,
  max: number,
): number {
  const value = readTarNumber(block, at + offset, length, style);
  if (value !== undefined && Math.abs(value) <= max) return value;
  throw bad("ARCHIVE_BAD_NUMBER", `has a bad ${what}`, block, at, what);
}

function badHeader(what: string, block: Buffer, at: number): GranaryError {
  return bad("ARCHIVE_BAD_HEADER", `has ${what}`, block, at, what);
}

function bad(code: ErrorCode, what: string, block: Buffer, at: number, field: string): GranaryError {
  const name = lossyName(block, at);
  return new GranaryError(code, `the header of ${quote(name)} ${what}`, { path: name, field });
}

/** A name for messages only: what is not UTF-8 becomes U+FFFD. */
export function lossyName(block: Buffer, at: number): string {
  return block.toString("utf8", at, fieldEnd(block, at, NAME[1]));
}
