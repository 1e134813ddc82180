import type { ErrorCode } from "../../proto/errors.ts";
import type { HostileArchive } from "./hostile-archive.ts";
import {
  base256,
  checksumOf,
  directory,
  entry,
  file,
  type HeaderFields,
  header,
  pax,
  tar,
  tgz,
} from "./tar-builder.ts";

/** The odd entry is the second of three, so readers that lose their place show it by the third. */
function odd(
  name: string,
  code: ErrorCode,
  fields: HeaderFields,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return {
    name,
    code,
    detail: { offset: 1024, ...detail },
    bytes: () => tgz(file("first", "1"), file("odd", "hello", fields), file("last", "3")),
  };
}

function number(field: keyof HeaderFields, spelled: string, value: string | Uint8Array): HostileArchive {
  return odd(`a ${field} ${spelled}`, "ARCHIVE_BAD_NUMBER", { [field]: value }, { path: "odd", field });
}

function type(letter: string, what: string): HostileArchive {
  const fields: HeaderFields = { type: letter, size: 0 };
  const shown = /[!-~]/.test(letter) ? letter : `0x${letter.charCodeAt(0).toString(16)}`;
  return {
    name: what,
    code: "ARCHIVE_ENTRY_TYPE",
    detail: { path: "odd", actual: shown, offset: 1024 },
    bytes: () => tgz(file("first", "1"), entry({ name: "odd", ...fields }), file("last", "3")),
  };
}

function signedChecksum(): Buffer {
  const block = header({ name: "é" });
  const signed = checksumOf(block) - 2 * 256;
  block.write(`${signed.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return tgz(file("first", "1"), block);
}

const bytes = (...values: readonly number[]): Buffer => Buffer.from(values);

/** Types, checksums, magics and numbers of headers. */
export const HOSTILE_HEADERS: readonly HostileArchive[] = [
  type("3", "a character device"),
  type("4", "a block device"),
  type("6", "a fifo"),
  type("7", "a contiguous file"),
  type("S", "an old GNU sparse file"),
  type("D", "a GNU incremental directory"),
  type("V", "a GNU volume label"),
  type("M", "a GNU continuation"),
  type("N", "an old GNU long name"),
  type("X", "a Sun extended header"),
  type("A", "a Solaris ACL"),
  type("I", "a star inode"),
  type("Z", "an entry of an unknown type"),
  type(" ", "an entry whose type is a space"),
  type("8", "an entry of a reserved type"),
  odd("a directory spelled as a file", "ARCHIVE_ENTRY_TYPE", { name: "odd/", size: 0 }, { path: "odd/" }),
  odd(
    "a directory spelled as an old file",
    "ARCHIVE_ENTRY_TYPE",
    { name: "odd/", size: 0, type: "\0" },
    { path: "odd/" },
  ),
  odd("a directory spelled as a file with content", "ARCHIVE_ENTRY_TYPE", { name: "odd/" }, { path: "odd/" }),
  {
    name: "an old file whose own name is a directory's and whose pax path is not",
    code: "ARCHIVE_ENTRY_TYPE",
    detail: { path: "odd" },
    bytes: () => tgz(pax({ path: "odd" }), file("odd/", "hello", { type: "\0" })),
  },
  {
    name: "a pax path that spells a file as a directory",
    code: "ARCHIVE_ENTRY_TYPE",
    detail: { path: "odd/" },
    bytes: () => tgz(pax({ path: "odd/" }), file("odd", "hello")),
  },
  {
    name: "a directory with a size",
    code: "ARCHIVE_ENTRY_SIZE",
    detail: { path: "d/", actual: 5, limit: 0 },
    bytes: () => tgz(entry({ name: "d/", type: "5" }, "hello"), file("last", "x")),
  },
  {
    name: "a directory with a size and no content (Go's hdr-only.tar)",
    code: "ARCHIVE_ENTRY_SIZE",
    detail: { path: "d/", actual: 5 },
    bytes: () => tgz(directory("d/", { size: 5 }), file("last", "x")),
  },
  {
    name: "a directory with a pax size",
    code: "ARCHIVE_ENTRY_SIZE",
    detail: { path: "d/", actual: 512 },
    bytes: () => tgz(pax({ size: "512" }), directory("d/"), file("last", "x")),
  },
  {
    name: "a directory whose size a pax size denies",
    code: "ARCHIVE_ENTRY_SIZE",
    detail: { path: "d/", actual: 512 },
    bytes: () => tgz(pax({ size: "0" }), directory("d/", { size: 512 }), file("last", "x")),
  },
  odd("a wrong checksum", "ARCHIVE_BAD_CHECKSUM", { checksum: "001234\0 " }, { path: "odd", actual: 0o1234 }),
  odd(
    "a checksum that is no number",
    "ARCHIVE_BAD_CHECKSUM",
    { checksum: "abcdefgh" },
    { path: "odd", actual: "not a number" },
  ),
  odd("an empty checksum", "ARCHIVE_BAD_CHECKSUM", { checksum: Buffer.alloc(8) }, { path: "odd" }),
  {
    name: "a checksum of signed bytes",
    code: "ARCHIVE_BAD_CHECKSUM",
    detail: { path: "é", offset: 1024 },
    bytes: signedChecksum,
  },
  odd("a v7 header", "ARCHIVE_BAD_MAGIC", { magic: Buffer.alloc(8) }, { path: "odd" }),
  odd("a ustar magic without a version", "ARCHIVE_BAD_MAGIC", { magic: "ustar\0\0\0" }, { path: "odd" }),
  odd("a GNU magic with a ustar version", "ARCHIVE_BAD_MAGIC", { magic: "ustar 00" }, { path: "odd" }),
  odd(
    "an unknown magic",
    "ARCHIVE_BAD_MAGIC",
    { magic: "vstar\x0000" },
    { path: "odd", actual: "vstar\x0000" },
  ),
  odd("a star trailer", "ARCHIVE_BAD_HEADER", { tail: "\0\0\0\0\0\0\0\0tar\0" }, { path: "odd" }),
  odd(
    "GNU times where ustar has the prefix",
    "ARCHIVE_BAD_HEADER",
    { magic: "gnu", prefix: "14371573600\x0014371573600\0" },
    { path: "odd" },
  ),
  odd("a prefix in a GNU header", "ARCHIVE_BAD_HEADER", { magic: "gnu", prefix: "hidden" }, { path: "odd" }),
  number("size", "with a minus", "-0000000005\0"),
  number("size", "with a plus", "+0000000005\0"),
  number("size", "in hex", "0x000000005\0"),
  number("size", "in decimal digits", "00000000008\0"),
  number("size", "of nothing", Buffer.alloc(12)),
  number("size", "of spaces", "            "),
  number("size", "padded with spaces", "          5\0"),
  number("size", "without a terminator", "000000000005"),
  number("size", "with digits behind its end", "5\x0000000000\0"),
  number("size", "with rubbish behind its end", "00000005 \0x\0"),
  number("size", "with a leading NUL", "\x0000000000005"),
  number("size", "in base-256 behind 0x81", bytes(0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5)),
  number("size", "in base-256 behind 0xc0", bytes(0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5)),
  number("size", "negative in base-256", base256(-5n, 12)),
  number("mode", "that is no number", "rwxr-xr\0"),
  number("mode", "in base-256", bytes(0x80, 0, 0, 0, 0, 0, 1, 0xa4)),
  number("mode", "of nothing", Buffer.alloc(8)),
  number("uid", "that is no number", "nobody\0\0"),
  number("uid", "negative in base-256", base256(-2n, 8)),
  number("uid", "beyond 32 bits", base256(1n << 40n, 8)),
  number("gid", "without a terminator", "00001750"),
  number("mtime", "that is no number", "yesterday\0\0\0"),
  number("mtime", "beyond all time", base256(1n << 62n, 12)),
  number(
    "mtime",
    "behind 0xfe",
    bytes(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  ),
  number("devmajor", "that is no number", "x"),
  number("devminor", "behind 0xff", base256(-1n, 8)),
  odd(
    "a size beyond the limit in octal",
    "ARCHIVE_FILE_TOO_LARGE",
    { size: 2 ** 30 + 1 },
    { path: "odd", actual: 2 ** 30 + 1, limit: 2 ** 30 },
  ),
  odd(
    "a size of 2^63 in base-256",
    "ARCHIVE_FILE_TOO_LARGE",
    { size: base256(1n << 63n, 12) },
    { path: "odd", actual: 2 ** 63, limit: 2 ** 30 },
  ),
  odd(
    "a size of 2^64 + 5 in base-256",
    "ARCHIVE_FILE_TOO_LARGE",
    { size: base256((1n << 64n) + 5n, 12) },
    { path: "odd" },
  ),
  odd(
    "a padding that is not zero",
    "ARCHIVE_BAD_PADDING",
    { padding: Buffer.alloc(507, 1) },
    { path: "odd" },
  ),
  odd(
    "a padding whose last byte is not zero",
    "ARCHIVE_BAD_PADDING",
    { padding: Buffer.concat([Buffer.alloc(506), bytes(1)]) },
    { path: "odd" },
  ),
  {
    name: "a header hidden in a padding",
    code: "ARCHIVE_BAD_PADDING",
    detail: { path: "odd" },
    bytes: () => tgz(file("odd", "hello", { padding: header({ name: "hidden" }).subarray(0, 507) })),
  },
  {
    name: "a size one too large, which eats the next header",
    code: "ARCHIVE_BAD_PADDING",
    detail: { path: "odd" },
    bytes: () =>
      tgz(entry({ name: "odd", size: 513 }, tar(file("inner", "x")).subarray(0, 512)), file("last", "x")),
  },
];
