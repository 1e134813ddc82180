import type { ErrorCode } from "../../proto/errors.ts";
import type { HostileArchive } from "./hostile-archive.ts";
import { directory, file, gnuLong, type HeaderFields, pax, symlink, tgz } from "./tar-builder.ts";

function named(
  name: string,
  code: ErrorCode,
  path: string,
  detail: HostileArchive["detail"] = { path },
): HostileArchive {
  return { name, code, detail, bytes: () => tgz(file(path, "x")) };
}

function raw(
  name: string,
  code: ErrorCode,
  fields: HeaderFields,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return { name, code, detail, bytes: () => tgz(file("first", "1"), file("x", "x", fields)) };
}

function longPath(
  name: string,
  code: ErrorCode,
  path: string | Buffer,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return { name, code, detail, bytes: () => tgz(gnuLong("L", path), file("cut", "x", { magic: "gnu" })) };
}

function paxPath(
  name: string,
  code: ErrorCode,
  path: string | Buffer,
  detail: HostileArchive["detail"] = {},
): HostileArchive {
  return { name, code, detail, bytes: () => tgz(pax({ path }), file("short", "x")) };
}

function pair(name: string, code: ErrorCode, first: Buffer, second: Buffer, path: string): HostileArchive {
  return { name, code, detail: { path }, bytes: () => tgz(first, second) };
}

const deep = (segments: number): string => Array.from({ length: segments }, () => "d").join("/");

/** Names and paths. */
export const HOSTILE_PATHS: readonly HostileArchive[] = [
  named("a path that climbs out", "ARCHIVE_PATH_TRAVERSAL", "../evil"),
  named("a .. segment in the middle of a path", "ARCHIVE_PATH_TRAVERSAL", "a/../../evil"),
  named("a .. segment at the end of a path", "ARCHIVE_PATH_TRAVERSAL", "a/.."),
  named("a path that is nothing but ..", "ARCHIVE_PATH_TRAVERSAL", ".."),
  named("a .. behind a leading ./", "ARCHIVE_PATH_TRAVERSAL", "./../evil", { path: "../evil" }),
  named("an absolute path", "ARCHIVE_PATH_ABSOLUTE", "/etc/passwd"),
  named("a path that begins with two slashes", "ARCHIVE_PATH_ABSOLUTE", "//server/share"),
  named("an absolute path behind a leading ./", "ARCHIVE_PATH_ABSOLUTE", ".//etc/passwd", {
    path: "/etc/passwd",
  }),
  named("a path with an empty segment", "ARCHIVE_PATH_SEGMENT", "a//b"),
  named("a path with a . segment", "ARCHIVE_PATH_SEGMENT", "a/./b"),
  named("a leading ./ that comes twice", "ARCHIVE_PATH_SEGMENT", "././a", { path: "./a" }),
  named("a file at the root's own name", "ARCHIVE_PATH_SEGMENT", ".", { path: "." }),
  {
    name: "a directory named . without a slash",
    code: "ARCHIVE_PATH_SEGMENT",
    detail: { path: "." },
    bytes: () => tgz(directory("."), file("a", "x")),
  },
  {
    name: "a symlink at the root's own name",
    code: "ARCHIVE_PATH_SEGMENT",
    bytes: () => tgz(file("a", "x"), symlink("./", "a")),
  },
  {
    name: "the root twice",
    code: "ARCHIVE_PATH_DUPLICATE",
    detail: { path: "./" },
    bytes: () => tgz(directory("./"), directory("./"), file("a", "x")),
  },
  {
    name: "a directory with two slashes at its end",
    code: "ARCHIVE_PATH_SEGMENT",
    detail: { path: "d/" },
    bytes: () => tgz(directory("d//"), file("a", "x")),
  },
  raw("an entry without a name", "ARCHIVE_PATH_SEGMENT", { name: "" }),
  named("a path with backslashes", "ARCHIVE_NAME_BACKSLASH", "..\\..\\evil"),
  named("a UNC path", "ARCHIVE_NAME_BACKSLASH", "\\\\server\\share\\x"),
  named("a drive letter with a slash", "ARCHIVE_PATH_DRIVE", "C:/Windows/x"),
  named("a drive letter without a slash", "ARCHIVE_PATH_DRIVE", "c:x"),
  named("a line feed in a name", "ARCHIVE_NAME_CHARACTER", "a\nb", { path: "a\nb", actual: "U+000A" }),
  named("an escape sequence in a name", "ARCHIVE_NAME_CHARACTER", "a\u001b[2Jb", { actual: "U+001B" }),
  named("a DEL in a name", "ARCHIVE_NAME_CHARACTER", "a\u007f", { actual: "U+007F" }),
  named("a C1 control character in a name", "ARCHIVE_NAME_CHARACTER", "a\u009b31m", { actual: "U+009B" }),
  named("a bidi override in a name", "ARCHIVE_NAME_CHARACTER", "a\u202etxt.exe", { actual: "U+202E" }),
  named("a bidi isolate in a name", "ARCHIVE_NAME_CHARACTER", "a\u2066b", { actual: "U+2066" }),
  named("a right-to-left mark in a name", "ARCHIVE_NAME_CHARACTER", "a\u200fb", { actual: "U+200F" }),
  named("a byte order mark in a name", "ARCHIVE_NAME_CHARACTER", "\ufeffa", { actual: "U+FEFF" }),
  named("a line separator in a name", "ARCHIVE_NAME_CHARACTER", "a\u2028b", { actual: "U+2028" }),
  raw(
    "bytes behind the NUL of a name",
    "ARCHIVE_NAME_CHARACTER",
    { name: "shown\0hidden" },
    { path: "shown", actual: "U+0000" },
  ),
  raw("a line feed behind the NUL of a name", "ARCHIVE_NAME_CHARACTER", { name: "a\0b\n7" }, { path: "a" }),
  raw("bytes behind the NUL of a prefix", "ARCHIVE_NAME_CHARACTER", { prefix: "p\0q" }),
  raw("a name that is not UTF-8", "ARCHIVE_NAME_ENCODING", { name: Buffer.from([0x61, 0xff]) }),
  raw("a name with an overlong slash", "ARCHIVE_NAME_ENCODING", {
    name: Buffer.from([0x2e, 0x2e, 0xc0, 0xaf, 0x78]),
  }),
  raw("a name with an encoded surrogate", "ARCHIVE_NAME_ENCODING", {
    name: Buffer.from([0x61, 0xed, 0xa0, 0x80]),
  }),
  raw("a name cut in the middle of a character", "ARCHIVE_NAME_ENCODING", {
    name: Buffer.from([0x61, 0xe2, 0x82]),
  }),
  raw("a prefix that is not UTF-8", "ARCHIVE_NAME_ENCODING", { prefix: Buffer.from([0x70, 0xff]) }),
  {
    name: "two names that one wrong decoder would fold into one",
    code: "ARCHIVE_NAME_ENCODING",
    bytes: () => tgz(file(Buffer.from([0x61, 0xfe]), "1"), file(Buffer.from([0x61, 0xff]), "2")),
  },
  paxPath("a NUL in a pax path", "ARCHIVE_NAME_CHARACTER", "a\0b"),
  paxPath("a line feed in a pax path", "ARCHIVE_NAME_CHARACTER", "a\nb"),
  paxPath("a pax path that is not UTF-8", "ARCHIVE_NAME_ENCODING", Buffer.from([0x61, 0xff])),
  paxPath("a pax path that climbs out", "ARCHIVE_PATH_TRAVERSAL", "../evil", { path: "../evil" }),
  paxPath("an absolute pax path", "ARCHIVE_PATH_ABSOLUTE", "/evil", { path: "/evil" }),
  paxPath("a decomposed pax path, which bsdtar composes", "ARCHIVE_NAME_NOT_NORMALIZED", "e\u0301"),
  paxPath("a pax path of digits, which node-tar makes a number", "ARCHIVE_BAD_PAX", "007"),
  longPath("a GNU long name that climbs out", "ARCHIVE_PATH_TRAVERSAL", "../evil", { path: "../evil" }),
  longPath("a GNU long name that is not UTF-8", "ARCHIVE_NAME_ENCODING", Buffer.from([0x61, 0xff])),
  longPath("bytes behind the NUL of a GNU long name", "ARCHIVE_NAME_CHARACTER", "shown\0hidden"),
  longPath("a segment of 256 bytes", "ARCHIVE_PATH_TOO_LONG", "s".repeat(256), { actual: 256, limit: 255 }),
  longPath("a segment of 255 characters and 256 bytes", "ARCHIVE_PATH_TOO_LONG", `${"s".repeat(254)}é`, {
    actual: 256,
    limit: 255,
  }),
  longPath(
    "a path of 1025 bytes",
    "ARCHIVE_PATH_TOO_LONG",
    `${`${"p".repeat(204)}/`.repeat(5)}`.slice(0, 1024).concat("q"),
    { actual: 1025, limit: 1024 },
  ),
  longPath("a path of 65 segments", "ARCHIVE_PATH_TOO_DEEP", deep(65), {
    actual: 65,
    limit: 64,
  }),
  pair("one path twice", "ARCHIVE_PATH_DUPLICATE", file("a", "1"), file("a", "2"), "a"),
  pair("one path twice, once behind ./", "ARCHIVE_PATH_DUPLICATE", file("a", "1"), file("./a", "2"), "a"),
  pair("one directory twice", "ARCHIVE_PATH_DUPLICATE", directory("d/"), directory("d"), "d"),
  pair("a directory where a file is", "ARCHIVE_PATH_DUPLICATE", file("a", "1"), directory("a/"), "a"),
  pair(
    "a file where a symlink is",
    "ARCHIVE_PATH_DUPLICATE",
    Buffer.concat([file("t", "1"), symlink("a", "t")]),
    file("a", "2"),
    "a",
  ),
  pair("NFC and NFD of one name", "ARCHIVE_PATH_COLLISION", file("é", "1"), file("e\u0301", "2"), "e\u0301"),
  pair("NFD before NFC of one name", "ARCHIVE_PATH_COLLISION", file("e\u0301", "1"), file("é", "2"), "é"),
  pair(
    "a name that NFC makes ASCII beside that ASCII name",
    "ARCHIVE_PATH_COLLISION",
    file("K", "1"),
    file("\u212a", "2"),
    "\u212a",
  ),
  pair(
    "NFC and NFD of one directory that is only implied",
    "ARCHIVE_PATH_COLLISION",
    file("é/x", "1"),
    file("e\u0301/y", "2"),
    "e\u0301",
  ),
  pair("a file used as a parent", "ARCHIVE_PATH_CONFLICT", file("a", "1"), file("a/b", "2"), "a/b"),
  pair(
    "a parent that becomes a file later",
    "ARCHIVE_PATH_CONFLICT",
    file("a/b", "1"),
    file("a", "2"),
    "a/b",
  ),
  pair(
    "a file used as a parent inside .git",
    "ARCHIVE_PATH_CONFLICT",
    Buffer.concat([file("f", ""), file(".git/a", "1")]),
    file(".git/a/b", "2"),
    ".git/a/b",
  ),
  pair(
    "a file used as a distant parent",
    "ARCHIVE_PATH_CONFLICT",
    file("a/b", "1"),
    file("a/b/c/d", "2"),
    "a/b/c/d",
  ),
];
