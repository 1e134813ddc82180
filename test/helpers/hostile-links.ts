import type { ErrorCode } from "../../proto/errors.ts";
import type { HostileArchive } from "./hostile-archive.ts";
import { directory, entry, file, gnuLong, hardlink, pax, symlink, tgz } from "./tar-builder.ts";

function parts(
  name: string,
  code: ErrorCode,
  detail: HostileArchive["detail"],
  ...entries: readonly Buffer[]
): HostileArchive {
  return { name, code, detail: detail ?? {}, bytes: () => tgz(file("first", "1"), ...entries) };
}

function link(name: string, code: ErrorCode, target: string): HostileArchive {
  return parts(name, code, { path: "link" }, symlink("link", target));
}

function hard(name: string, target: string, ...before: readonly Buffer[]): HostileArchive {
  return parts(
    name,
    "ARCHIVE_HARDLINK_TARGET",
    { path: "hard", target },
    ...before,
    hardlink("hard", target),
  );
}

function chain(length: number): Buffer[] {
  return Array.from({ length }, (_, i) => symlink(`l${i}`, i === 0 ? "first" : `l${i - 1}`)).reverse();
}

/** Symlinks and hardlinks. */
export const HOSTILE_LINKS: readonly HostileArchive[] = [
  link("an absolute symlink", "ARCHIVE_LINK_ABSOLUTE", "/etc/passwd"),
  link("a symlink out of the tree", "ARCHIVE_LINK_ESCAPES", "../outside"),
  link("a symlink to the parent of the root", "ARCHIVE_LINK_ESCAPES", ".."),
  link("a symlink that leaves the tree and comes back", "ARCHIVE_LINK_ESCAPES", "../x/first"),
  link("a symlink to nothing", "ARCHIVE_LINK_DANGLING", "missing"),
  link("a symlink to itself", "ARCHIVE_LINK_LOOP", "link"),
  link("a symlink with a slash behind a file", "ARCHIVE_LINK_DANGLING", "first/"),
  link("a symlink through a file", "ARCHIVE_LINK_DANGLING", "first/../first"),
  link("a symlink with a backslash", "ARCHIVE_NAME_BACKSLASH", "..\\x"),
  parts("a symlink with a control character", "ARCHIVE_NAME_CHARACTER", {}, symlink("link", "fir\u001bst")),
  parts("a symlink without a target", "ARCHIVE_LINK_EMPTY", { path: "link" }, symlink("link", "")),
  parts("a hardlink without a target", "ARCHIVE_LINK_EMPTY", { path: "hard" }, hardlink("hard", "")),
  parts(
    "a symlink whose target is not UTF-8",
    "ARCHIVE_NAME_ENCODING",
    {},
    symlink("link", Buffer.from([0x61, 0xff])),
  ),
  parts(
    "bytes behind the NUL of a link target",
    "ARCHIVE_NAME_CHARACTER",
    { path: "link" },
    symlink("link", "first\0evil"),
  ),
  parts(
    "a deep symlink out of the tree",
    "ARCHIVE_LINK_ESCAPES",
    { path: "a/b/link" },
    symlink("a/b/link", "../../../outside"),
  ),
  parts(
    "a symlink that leaves the tree only through another link",
    "ARCHIVE_LINK_ESCAPES",
    { path: "a/b/out" },
    directory("a/b/c/"),
    symlink("a/b/up", "../../a"),
    symlink("a/b/out", "up/../../x"),
  ),
  parts(
    "a symlink that leaves the tree as text though not through its links",
    "ARCHIVE_LINK_ESCAPES",
    { path: "out" },
    file("a/b/c/x", ""),
    symlink("in", "a/b/c"),
    symlink("out", "in/../../first"),
  ),
  parts("two symlinks in a loop", "ARCHIVE_LINK_LOOP", {}, symlink("l1", "l2"), symlink("l2", "l1")),
  parts(
    "a loop through directories",
    "ARCHIVE_LINK_LOOP",
    {},
    symlink("a/x", "../b/y/z"),
    symlink("b/y", "../a/x"),
  ),
  parts("a chain of 41 symlinks", "ARCHIVE_LINK_LOOP", {}, ...chain(41)),
  parts(
    "a file written through a symlink",
    "ARCHIVE_PATH_CONFLICT",
    { path: "d/evil", parent: "d" },
    directory("real/"),
    symlink("d", "real"),
    file("d/evil", "x"),
  ),
  parts(
    "a symlink put in place of a directory that has files",
    "ARCHIVE_PATH_CONFLICT",
    { path: "d/x", parent: "d" },
    file("d/x", "x"),
    symlink("d", "first"),
  ),
  parts(
    "a file written through a symlink in .git",
    "ARCHIVE_PATH_CONFLICT",
    { parent: ".git/d" },
    symlink(".git/d", "../first"),
    file(".git/d/evil", "x"),
  ),
  parts(
    "a left-out symlink out of the tree",
    "ARCHIVE_LINK_ESCAPES",
    { path: ".git" },
    symlink(".git", "../outside"),
  ),
  parts(
    "a symlink to what is left out",
    "ARCHIVE_LINK_DANGLING",
    { path: "link" },
    file(".git/config", "x"),
    symlink("link", ".git/config"),
  ),
  hard("a hardlink out of the tree", "../outside"),
  hard("an absolute hardlink", "/etc/passwd"),
  hard("a hardlink to nothing", "missing"),
  hard("a hardlink to itself", "hard"),
  parts(
    "a hardlink to a later file",
    "ARCHIVE_HARDLINK_TARGET",
    { path: "hard", target: "later" },
    hardlink("hard", "later"),
    file("later", "x"),
  ),
  hard("a hardlink to a symlink", "soft", symlink("soft", "first")),
  hard("a hardlink to a directory", "d", directory("d/")),
  hard("a hardlink through a symlinked directory", "soft/x", file("d/x", "x"), symlink("soft", "d")),
  hard("a hardlink whose target is spelled with ..", "d/../first", directory("d/")),
  hard("a hardlink with a slash behind its target", "first/"),
  hard("a hardlink to what is left out", ".git/config", file(".git/config", "x")),
  parts(
    "a hardlink with another mode than its file",
    "ARCHIVE_META_CONFLICT",
    { path: "hard", target: "first" },
    hardlink("hard", "first", { mode: "0000755\0" }),
  ),
  parts(
    "a symlink with a size",
    "ARCHIVE_ENTRY_SIZE",
    { actual: 5, limit: 0 },
    entry({ name: "l", type: "2", link: "first", size: 5 }, "hello"),
  ),
  parts(
    "a hardlink with a size",
    "ARCHIVE_ENTRY_SIZE",
    { actual: 5, limit: 0 },
    entry({ name: "l", type: "1", link: "first", size: 5 }, "hello"),
  ),
  parts("a file with a link name", "ARCHIVE_META_CONFLICT", { path: "x" }, file("x", "x", { link: "first" })),
  parts(
    "a directory with a link name",
    "ARCHIVE_META_CONFLICT",
    { path: "d/" },
    directory("d/", { link: "first" }),
  ),
  parts(
    "a pax linkpath before a file",
    "ARCHIVE_META_CONFLICT",
    {},
    pax({ linkpath: "first" }),
    file("x", "x"),
  ),
  parts(
    "a GNU long link before a file",
    "ARCHIVE_META_CONFLICT",
    {},
    gnuLong("K", "first"),
    file("x", "x", { magic: "gnu" }),
  ),
  parts(
    "a GNU long link out of the tree",
    "ARCHIVE_LINK_ESCAPES",
    { path: "l" },
    gnuLong("K", "../outside"),
    symlink("l", "first", { magic: "gnu" }),
  ),
  parts(
    "a pax linkpath out of the tree",
    "ARCHIVE_LINK_ESCAPES",
    { path: "l" },
    pax({ linkpath: "../outside" }),
    symlink("l", "first"),
  ),
  parts(
    "a decomposed pax linkpath, which bsdtar composes",
    "ARCHIVE_NAME_NOT_NORMALIZED",
    {},
    pax({ linkpath: "e\u0301" }),
    symlink("l", "first"),
  ),
  parts(
    "a symlink spelled with a slash at its end",
    "ARCHIVE_PATH_SEGMENT",
    { path: "l/" },
    symlink("l/", "first"),
  ),
];
