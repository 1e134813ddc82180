import type { ErrorCode } from "../../proto/errors.ts";
import type { HostileArchive } from "./hostile-archive.ts";
import { directory, entry, file, gnuLong, pax, paxRecord, symlink, tgz } from "./tar-builder.ts";

function before(
  name: string,
  code: ErrorCode,
  detail: HostileArchive["detail"],
  ...meta: readonly Buffer[]
): HostileArchive {
  return {
    name,
    code,
    detail: detail ?? {},
    bytes: () => tgz(...meta, file("entry", "hello"), file("last", "3")),
  };
}

function body(name: string, text: string | Buffer, code: ErrorCode = "ARCHIVE_BAD_PAX"): HostileArchive {
  return before(name, code, { offset: 0 }, pax(Buffer.from(text)));
}

function key(name: string, keyName: string, value = "x"): HostileArchive {
  return before(name, "ARCHIVE_PAX_UNKNOWN_KEY", { key: keyName }, pax({ [keyName]: value }));
}

function size(name: string, value: string): HostileArchive {
  return before(`a pax size ${name}`, "ARCHIVE_BAD_PAX", { key: "size" }, pax({ size: value }));
}

const COMMENT = pax({ comment: "0123456789abcdef" }, { type: "g" });

/** pax and GNU metadata headers. */
export const HOSTILE_META: readonly HostileArchive[] = [
  {
    name: "a pax header of zero length",
    code: "ARCHIVE_BAD_PAX",
    detail: { offset: 0 },
    bytes: () => tgz(pax(Buffer.alloc(0)), file("a", "x")),
  },
  body("a pax record with a length one too large", "13 path=abc\n"),
  body("a pax record with a length one too small", "11 path=abc\n"),
  body("a pax record with a leading zero in its length", "013 path=abc\n"),
  body("a pax record with a space before its length", " 13 path=abc\n"),
  body("a pax record with a signed length", "+13 path=abc\n"),
  body("a pax record with a hex length", "0xd path=abc\n"),
  body("a pax record with a length of zero", "0 path=abc\n"),
  body("a pax record without a length", "path=abc\n"),
  body("a pax record without a line feed", "12 path=abcd"),
  body("a pax record without an equals sign", "11 pathabc\n"),
  body("a pax record without a key", "7 =abc\n"),
  body("a pax record that is longer than the header", "99 path=abc\n"),
  body("a pax record with a length of 400 digits", `${"9".repeat(400)} path=abc\n`),
  body("a pax record followed by NUL", "13 path=abcd\n\0\0\0"),
  body("a pax record followed by an empty line", "13 path=abcd\n\n"),
  body("a pax header of nothing but a line feed", "\n"),
  body(
    "a pax header whose second record is malformed",
    Buffer.concat([paxRecord("path", "abc"), Buffer.from("12 path")]),
  ),
  before(
    "one pax key twice",
    "ARCHIVE_PAX_DUPLICATE_KEY",
    { key: "path" },
    pax(Buffer.concat([paxRecord("path", "a"), paxRecord("path", "b")])),
  ),
  before(
    "an ignored pax key twice",
    "ARCHIVE_PAX_DUPLICATE_KEY",
    { key: "mtime" },
    pax(Buffer.concat([paxRecord("mtime", "1"), paxRecord("mtime", "1")])),
  ),
  key("a pax sparse file", "GNU.sparse.major", "1"),
  key("a pax sparse map", "GNU.sparse.map", "0,5"),
  key("a pax sparse name", "GNU.sparse.name", "hidden"),
  key("a pax sparse size", "GNU.sparse.realsize", "99999999999"),
  key("a GNU volume label in pax", "GNU.volume.label"),
  key("a GNU dump directory in pax", "GNU.dumpdir"),
  key("an SELinux label in pax", "RHT.security.selinux"),
  key("a pax hdrcharset", "hdrcharset", "BINARY"),
  key("a pax key of __proto__", "__proto__"),
  key("a pax key of constructor", "constructor"),
  key("a pax key in capitals", "PATH"),
  key("a pax key behind a space", " path"),
  key("star's real size, which bsdtar obeys", "SCHILY.realsize", "3"),
  key("star's file type", "SCHILY.filetype", "sparse"),
  key("a vendor prefix without a key", "SCHILY."),
  size("that is negative", "-1"),
  size("with a plus", "+5"),
  size("in hex", "0x5"),
  size("with a space", " 5"),
  size("of nothing", ""),
  size("with a fraction", "5.0"),
  size("in foreign digits", "\u0665"),
  size("of 21 digits", "999999999999999999999"),
  before(
    "a pax size of 2^63",
    "ARCHIVE_FILE_TOO_LARGE",
    { path: "entry", limit: 2 ** 30 },
    pax({ size: "9223372036854775808" }),
  ),
  before(
    "a pax size that the body does not have",
    "ARCHIVE_BAD_PADDING",
    { path: "entry" },
    pax({ size: "513" }),
  ),
  before("a pax path of nothing", "ARCHIVE_BAD_PAX", { key: "path" }, pax({ path: "" })),
  before("a pax mtime that is no number", "ARCHIVE_BAD_PAX", { key: "mtime" }, pax({ mtime: "yesterday" })),
  before("a pax mtime in exponents", "ARCHIVE_BAD_PAX", { key: "mtime" }, pax({ mtime: "1e9" })),
  before(
    "a pax mtime beyond all dates",
    "ARCHIVE_BAD_PAX",
    { key: "mtime" },
    pax({ mtime: "9999999999999" }),
  ),
  before("a pax uid beyond 32 bits", "ARCHIVE_BAD_PAX", {}, pax({ uid: "4294967296" })),
  before("a pax uid that is no number", "ARCHIVE_BAD_PAX", { key: "uid" }, pax({ uid: "root" })),
  before("a pax uname that is not UTF-8", "ARCHIVE_NAME_ENCODING", {}, pax({ uname: Buffer.from([0xff]) })),
  before(
    "a record hidden in a pax comment, which node-tar obeys",
    "ARCHIVE_BAD_PAX",
    {},
    pax({ comment: "a\n15 path=hidden" }),
  ),
  before(
    "a record hidden in an attribute, which node-tar obeys",
    "ARCHIVE_BAD_PAX",
    {},
    pax({ "SCHILY.xattr.user.x": "a\n15 path=hidden" }),
  ),
  before(
    "a record hidden behind a Unicode space",
    "ARCHIVE_BAD_PAX",
    {},
    pax({ "SCHILY.xattr.user.x": "a\n\u200315path=hidden" }),
  ),
  before(
    "a global pax path",
    "ARCHIVE_PAX_GLOBAL",
    { key: "path" },
    pax({ path: "everything" }, { type: "g" }),
  ),
  before("a global pax size", "ARCHIVE_PAX_GLOBAL", { key: "size" }, pax({ size: "0" }, { type: "g" })),
  before("a global pax mtime", "ARCHIVE_PAX_GLOBAL", { key: "mtime" }, pax({ mtime: "0" }, { type: "g" })),
  before("a global pax header of zero length", "ARCHIVE_BAD_PAX", {}, pax(Buffer.alloc(0), { type: "g" })),
  before(
    "a pax header and a GNU long name",
    "ARCHIVE_META_CONFLICT",
    { types: "xL" },
    pax({ path: "a" }),
    gnuLong("L", "b"),
  ),
  before(
    "a GNU long name and a pax header",
    "ARCHIVE_META_CONFLICT",
    { types: "Lx" },
    gnuLong("L", "b"),
    pax({ path: "a" }),
  ),
  before(
    "a pax header and a GNU long link",
    "ARCHIVE_META_CONFLICT",
    { types: "xK" },
    pax({ mtime: "1" }),
    gnuLong("K", "b"),
  ),
  before("two pax headers", "ARCHIVE_META_CONFLICT", { types: "xx" }, pax({ path: "a" }), pax({ path: "b" })),
  before(
    "two GNU long names",
    "ARCHIVE_META_CONFLICT",
    { types: "LL" },
    gnuLong("L", "a"),
    gnuLong("L", "b"),
  ),
  before(
    "a GNU long name again behind a long link",
    "ARCHIVE_META_CONFLICT",
    { types: "LKL" },
    gnuLong("L", "a"),
    gnuLong("K", "b"),
    gnuLong("L", "c"),
  ),
  before(
    "a global header between a pax header and its entry",
    "ARCHIVE_META_CONFLICT",
    { types: "xg" },
    pax({ path: "a" }),
    COMMENT,
  ),
  before(
    "a GNU long name of zero length",
    "ARCHIVE_PATH_SEGMENT",
    {},
    entry({ name: "././@LongLink", type: "L", magic: "gnu" }),
  ),
  before("a GNU long name of one NUL", "ARCHIVE_PATH_SEGMENT", {}, gnuLong("L", "")),
  before(
    "a padding behind a pax header that is not zero",
    "ARCHIVE_BAD_PADDING",
    {},
    pax({ path: "abc" }, { padding: Buffer.alloc(500, 1) }),
  ),
  before(
    "a pax header with a link name, which node-tar leaves out",
    "ARCHIVE_BAD_HEADER",
    {},
    pax({ path: "a" }, { link: "x" }),
  ),
  before(
    "a pax header without a name, which node-tar leaves out",
    "ARCHIVE_BAD_HEADER",
    {},
    pax({ path: "a" }, { name: "" }),
  ),
  before(
    "a pax header of 64 KiB and a byte",
    "ARCHIVE_META_TOO_LARGE",
    { actual: 65_537, limit: 65_536 },
    pax(Buffer.alloc(65_537, 0x20)),
  ),
  before(
    "a GNU long name of 64 KiB and a byte",
    "ARCHIVE_META_TOO_LARGE",
    { actual: 65_537, limit: 65_536 },
    gnuLong("L", "n".repeat(65_536)),
  ),
  before(
    "a pax header that claims 8 GiB",
    "ARCHIVE_META_TOO_LARGE",
    { actual: 8 ** 11 - 1 },
    pax({ path: "a" }, { size: 8 ** 11 - 1 }),
  ),
  {
    name: "more than 1 MiB of metadata headers",
    code: "ARCHIVE_META_TOO_LARGE",
    detail: { actual: 18 * (60_000 - 256), limit: 2 ** 20 },
    bytes: () => {
      const comment = pax({ comment: "c".repeat(60_000 - 15) });
      return tgz(...Array.from({ length: 18 }, (_, i) => Buffer.concat([comment, file(`f${i}`, "x")])));
    },
  },
  {
    name: "a pax header before the end marker",
    code: "ARCHIVE_META_CONFLICT",
    detail: { types: "x" },
    bytes: () => tgz(file("a", "x"), pax({ path: "b" })),
  },
  {
    name: "a GNU long name before the end marker",
    code: "ARCHIVE_META_CONFLICT",
    detail: { types: "L" },
    bytes: () => tgz(file("a", "x"), gnuLong("L", "b")),
  },
  {
    name: "a global header before the end marker",
    code: "ARCHIVE_META_CONFLICT",
    detail: { types: "g" },
    bytes: () => tgz(file("a", "x"), COMMENT),
  },
  {
    name: "a GNU long link of a directory",
    code: "ARCHIVE_META_CONFLICT",
    bytes: () => tgz(file("a", "x"), gnuLong("K", "a"), directory("d/", { magic: "gnu" })),
  },
  {
    name: "a pax size of a symlink",
    code: "ARCHIVE_ENTRY_SIZE",
    detail: { actual: 5, limit: 0 },
    bytes: () => tgz(file("a", "x"), pax({ size: "5" }), symlink("l", "a")),
  },
];
