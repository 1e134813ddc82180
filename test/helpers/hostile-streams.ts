import { gzipSync } from "node:zlib";
import type { ErrorCode } from "../../proto/errors.ts";
import type { HostileArchive } from "./hostile-archive.ts";
import { noise } from "./hostile-sizes.ts";
import { END_MARKER, file, type GzipForgery, gzip, pax, tar, tgz } from "./tar-builder.ts";

const HONEST = tar(file("a", "hello"), file("b", "world"));

function stream(
  name: string,
  code: ErrorCode,
  bytes: () => Buffer,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return { name, code, bytes: () => gzip(bytes()), detail };
}

function behind(
  name: string,
  code: ErrorCode,
  rest: () => Buffer,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return { name, code, bytes: () => Buffer.concat([gzip(HONEST), rest()]), detail };
}

function member(name: string, code: ErrorCode, forgery: GzipForgery): HostileArchive {
  return { name, code, bytes: () => gzip(HONEST, forgery) };
}

function cut(name: string, length: (whole: number) => number): HostileArchive {
  return {
    name,
    code: "ARCHIVE_TRUNCATED",
    bytes: () => {
      const whole = gzip(HONEST);
      return whole.subarray(0, length(whole.length));
    },
  };
}

function magic(name: string, first: readonly number[], code: ErrorCode = "ARCHIVE_NOT_GZIP"): HostileArchive {
  return {
    name,
    code,
    detail: { offset: 0 },
    bytes: () => Buffer.concat([Buffer.from(first), Buffer.alloc(600)]),
  };
}

/** Truncation, the end of the archive, the gzip stream, and bodies of other formats. */
export const HOSTILE_STREAMS: readonly HostileArchive[] = [
  stream("an archive that ends in a header", "ARCHIVE_TRUNCATED", () => HONEST.subarray(0, 1024 + 100), {
    offset: 1124,
  }),
  stream("an archive that ends in a body", "ARCHIVE_TRUNCATED", () => HONEST.subarray(0, 512 + 3), {
    path: "a",
    offset: 515,
  }),
  stream(
    "an archive that ends right behind a header with a body",
    "ARCHIVE_TRUNCATED",
    () => HONEST.subarray(0, 512),
    { path: "a" },
  ),
  stream("an archive that ends in a padding", "ARCHIVE_TRUNCATED", () => HONEST.subarray(0, 512 + 5), {
    path: "a",
  }),
  stream("an archive that ends in a metadata header", "ARCHIVE_TRUNCATED", () =>
    pax({ path: "abc" }).subarray(0, 520),
  ),
  stream("an archive without an end marker", "ARCHIVE_NO_END_MARKER", () => HONEST.subarray(0, 2048), {
    offset: 2048,
  }),
  stream(
    "an archive with one zero block at its end",
    "ARCHIVE_NO_END_MARKER",
    () => HONEST.subarray(0, 2560),
    { offset: 2560 },
  ),
  stream("an archive that ends in the second zero block", "ARCHIVE_TRUNCATED", () =>
    HONEST.subarray(0, 2048 + 1023),
  ),
  stream(
    "a lone zero block between entries",
    "ARCHIVE_NO_END_MARKER",
    () => Buffer.concat([file("a", "1"), Buffer.alloc(512), file("b", "2"), END_MARKER]),
    { offset: 1536 },
  ),
  stream(
    "a second archive behind the end marker",
    "ARCHIVE_TRAILING_DATA",
    () => Buffer.concat([HONEST, tar(file("hidden", "x"))]),
    { offset: 3072 },
  ),
  stream("a byte behind the end marker", "ARCHIVE_TRAILING_DATA", () =>
    Buffer.concat([HONEST, Buffer.alloc(7000), Buffer.from("x")]),
  ),
  stream("a stream of no bytes", "ARCHIVE_EMPTY", () => Buffer.alloc(0), { offset: 0 }),
  stream("an archive of nothing but its end marker", "ARCHIVE_EMPTY", () => Buffer.alloc(10_240)),
  stream("an archive of nothing but directories", "ARCHIVE_EMPTY", () => tar(file("d/", "", { type: "5" }))),
  stream("an archive of nothing but what is left out", "ARCHIVE_EMPTY", () => tar(file(".git/config", "x"))),
  stream("a gzip inside the gzip", "ARCHIVE_BAD_CHECKSUM", () => gzipSync(noise(2000))),
  stream("a text inside the gzip", "ARCHIVE_BAD_CHECKSUM", () => Buffer.from("hello world\n".repeat(100)), {
    offset: 0,
  }),
  stream("a short text inside the gzip", "ARCHIVE_TRUNCATED", () => Buffer.from("hello world\n")),
  behind("a byte behind the gzip stream", "ARCHIVE_TRAILING_DATA", () => Buffer.from("x")),
  behind("a byte behind zeros behind the gzip stream", "ARCHIVE_TRAILING_DATA", () =>
    Buffer.concat([Buffer.alloc(100_000), Buffer.from("x")]),
  ),
  behind("a gzip member behind zeros", "ARCHIVE_TRAILING_DATA", () =>
    Buffer.concat([Buffer.alloc(3), tgz(file("hidden", "x"))]),
  ),
  behind(
    "a second archive in a gzip member of its own",
    "ARCHIVE_TRAILING_DATA",
    () => tgz(file("hidden", "x")),
    { offset: 3072 },
  ),
  behind("half a gzip magic behind the stream", "ARCHIVE_TRAILING_DATA", () => Buffer.from([0x1f, 0x8c, 8])),
  behind("a gzip header cut short behind the stream", "ARCHIVE_TRUNCATED", () =>
    Buffer.from([0x1f, 0x8b, 8]),
  ),
  behind("a member behind the stream with a bad crc", "ARCHIVE_GZIP_CORRUPT", () =>
    gzip(Buffer.alloc(512), { crc: 1 }),
  ),
  cut("a gzip stream cut in its header", () => 5),
  cut("a gzip stream cut in its data", (whole) => whole - 40),
  cut("a gzip stream cut before its trailer", (whole) => whole - 8),
  cut("a gzip stream cut in its crc", (whole) => whole - 6),
  cut("a gzip stream cut in its length", (whole) => whole - 1),
  cut("the first byte of a gzip stream", () => 1),
  member("a bad crc", "ARCHIVE_GZIP_CORRUPT", { crc: 0xdeadbeef }),
  member("a bad length in the trailer", "ARCHIVE_GZIP_CORRUPT", { size: 1 }),
  member("an unknown compression method", "ARCHIVE_GZIP_CORRUPT", { method: 9 }),
  member("a reserved gzip flag", "ARCHIVE_GZIP_CORRUPT", { flags: 0x20 }),
  member("all reserved gzip flags", "ARCHIVE_GZIP_CORRUPT", { flags: 0xe0 }),
  member("a wrong gzip header crc", "ARCHIVE_GZIP_CORRUPT", { flags: 2, fields: Buffer.from([1, 2]) }),
  member("a gzip file name of 8 MiB", "ARCHIVE_GZIP_HEADER_TOO_LARGE", {
    flags: 8,
    fields: Buffer.concat([Buffer.alloc(8 << 20, 0x61), Buffer.alloc(1)]),
  }),
  member("a gzip comment without an end", "ARCHIVE_GZIP_HEADER_TOO_LARGE", {
    flags: 16,
    fields: Buffer.alloc(65_536, 0x61),
  }),
  member("a gzip extra field of 65,535 bytes", "ARCHIVE_GZIP_HEADER_TOO_LARGE", {
    flags: 4,
    fields: Buffer.alloc(65_537, 0xff),
  }),
  {
    name: "damaged deflate data",
    code: "ARCHIVE_GZIP_CORRUPT",
    bytes: () => Buffer.concat([gzip(HONEST).subarray(0, 10), Buffer.alloc(100, 0xff)]),
  },
  {
    name: "a preset dictionary in place of deflate data",
    code: "ARCHIVE_GZIP_CORRUPT",
    bytes: () =>
      Buffer.concat([
        gzip(HONEST).subarray(0, 10),
        Buffer.from([0x78, 0xbb, 0, 0, 0, 0]),
        Buffer.alloc(64, 0xff),
      ]),
  },
  {
    name: "10,001 gzip members",
    code: "ARCHIVE_TOO_MANY_GZIP_MEMBERS",
    detail: { actual: 10_001, limit: 10_000 },
    bytes: () => emptyMembers(10_000),
  },
  {
    name: "200,000 empty gzip members",
    code: "ARCHIVE_TOO_MANY_GZIP_MEMBERS",
    detail: { actual: 10_001, limit: 10_000 },
    bytes: () => emptyMembers(200_000),
  },
  { name: "a body of no bytes", code: "ARCHIVE_EMPTY", detail: { offset: 0 }, bytes: () => Buffer.alloc(0) },
  { name: "a plain tar", code: "ARCHIVE_NOT_GZIP", detail: { offset: 0 }, bytes: () => HONEST },
  { name: "one byte that is no gzip", code: "ARCHIVE_NOT_GZIP", bytes: () => Buffer.from("x") },
  { name: "one zero byte", code: "ARCHIVE_NOT_GZIP", bytes: () => Buffer.alloc(1) },
  magic("a zip", [0x50, 0x4b, 3, 4]),
  magic("an xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]),
  magic("a zstd", [0x28, 0xb5, 0x2f, 0xfd]),
  magic("a bzip2", [0x42, 0x5a, 0x68, 0x39]),
  magic("a compress .Z", [0x1f, 0x9d, 0x90]),
  magic("an lz4", [0x04, 0x22, 0x4d, 0x18]),
  {
    name: "a gzip behind a zero byte",
    code: "ARCHIVE_NOT_GZIP",
    bytes: () => Buffer.concat([Buffer.alloc(1), gzip(HONEST)]),
  },
];

function emptyMembers(count: number): Buffer {
  const empty = gzip(Buffer.alloc(0));
  return Buffer.concat([...Array.from({ length: count }, () => empty), gzip(HONEST)]);
}
