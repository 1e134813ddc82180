import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type IgnoreFile, matchIgnore, parseIgnoreFile } from "../../../proto/ignore.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const NAMES = [
  "a",
  "b",
  "a/b",
  "a/b/c",
  "foo",
  "foo.txt",
  "foo.log",
  "dir/foo.log",
  "dir/foo",
  "dir/sub/foo",
  "dir/sub/deep/foo.txt",
  "build/out.js",
  "src/build/out.js",
  "a.b",
  "a b",
  "trail ",
  "#hash",
  "!bang",
  "[x]",
  "x",
  "abc",
  "aXc",
  "a-c",
  "a]c",
  "a\\c",
  "*.star",
  "é",
  "logs/x.log",
  "logs/keep/x.log",
  "node_modules/p/i.js",
  "pkg/node_modules/p/i.js",
  "a/x/y/b",
  "a/x/b",
  "q?",
  "qq",
  "Foo",
  "z/.hidden",
  ".hidden",
  "tab\tname",
  "deep/1/2/3/4/f",
];
/** The files among them: the others are their directories. */
const PATHS = NAMES.filter((file) => !NAMES.some((other) => other.startsWith(`${file}/`)));
const PATTERNS = [
  "*.log",
  "/foo",
  "foo",
  "foo/",
  "dir/",
  "dir/*",
  "dir/**",
  "/dir/sub",
  "dir/sub/",
  "**/foo",
  "**/sub/foo",
  "a/**/b",
  "a/**",
  "/a/b",
  "build/",
  "!foo.log",
  "!dir/foo.log",
  "\\#hash",
  "#hash",
  "\\!bang",
  "!bang",
  "\\[x\\]",
  "[x]",
  "[ab]",
  "a[!X]c",
  "a[^X]c",
  "a[A-Z]c",
  "a[]]c",
  "a[]-]c",
  "a[a-c-]c",
  "a[[:upper:]]c",
  "[[:alpha:]]",
  "[[:bogus:]]",
  "[z-a]",
  "a[",
  "a\\",
  "a\\\\c",
  "a?c",
  "*",
  "**",
  "/*",
  "/**",
  "*/foo",
  "a*c",
  "a**c",
  "**a",
  "trail ",
  "trail\\ ",
  "trail\\  ",
  " ",
  "",
  "/",
  "//",
  "!",
  "!/",
  "a b",
  "q?",
  "q\\?",
  "qq\r",
  "é",
  "?",
  "[é]",
  "[!a]",
  "logs/",
  "!logs/keep/",
  "logs/*",
  "!logs/keep",
  "node_modules",
  "/node_modules/",
  "*.txt",
  "!dir/sub/deep/",
  "sub/deep",
  "sub/",
  "foo.*",
  "F*",
  ".*",
  "!.hidden",
  "deep/**/f",
  "deep/*/f",
  "deep/**/3/**",
  "**/",
  "**/4/",
  "*/",
  "tab*",
  "a/",
  "/a/",
  "***/foo",
  "a/***/b",
  "x/**/",
  "dir/**/foo.txt",
  "\\foo",
  "[\\]]",
  "[a\\-c]",
  "a[\\\\]c",
  "[[:space:]]",
  "a[[:punct:]]c",
];

const WITHOUT_GIT = spawnSync("git", ["--version"]).status === 0 ? false : "git is not installed";

test("ignore files decide as git check-ignore does", { skip: WITHOUT_GIT }, (t) => {
  const repository = createRepository();
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const random = generator(seed);
  const files = [
    ...PATTERNS.map((pattern) => `${pattern}\n`),
    ...Array.from({ length: 60 }, () => randomFile(random)),
  ];
  for (const text of files) {
    writeFileSync(path.join(repository, ".gitignore"), text);
    const ours = PATHS.filter((file) =>
      isLeftOut([parseIgnoreFile({ text, base: "", name: ".gitignore" })], file),
    );
    assert.deepEqual(ours, gitIgnores(repository), `ignore file ${JSON.stringify(text)}, seed ${seed}`);
  }
});

test("an inner ignore file wins over an outer one, as in git", { skip: WITHOUT_GIT }, () => {
  const repository = createRepository();
  const outer = "*.log\n/dir/foo\n";
  const inner = "!foo.log\n/sub/foo\n";
  writeFileSync(path.join(repository, ".gitignore"), outer);
  writeFileSync(path.join(repository, "dir/.gitignore"), inner);
  const files = [
    parseIgnoreFile({ text: outer, base: "", name: ".gitignore" }),
    parseIgnoreFile({ text: inner, base: "dir", name: ".gitignore" }),
  ];
  const ours = PATHS.filter((file) => isLeftOut(files, file));
  assert.deepEqual(ours, gitIgnores(repository));
  assert.ok(!ours.includes("dir/foo.log"));
  assert.ok(ours.includes("dir/sub/foo"));
});

test("a byte order mark and CRLF line ends do not change a rule", () => {
  const file = parseIgnoreFile({ text: "\ufefffoo\r\nbar\r\n", base: "", name: ".granaryignore" });
  assert.ok(matchIgnore([file], "foo", false));
  assert.ok(matchIgnore([file], "bar", false));
});

test("a match names the rule and the file that decided", () => {
  const file = parseIgnoreFile({ text: "*.log\n", base: "", name: ".granaryignore" });
  const match = matchIgnore([file], "x.log", false);
  assert.equal(match?.rule.source, "*.log");
  assert.equal(match?.file.name, ".granaryignore");
});

/** As a walk decides: parents first, and nothing below an ignored directory. */
function isLeftOut(files: readonly IgnoreFile[], file: string): boolean {
  const segments = file.split("/");
  return segments.some((_, at) => {
    const part = segments.slice(0, at + 1).join("/");
    return (
      matchIgnore(
        files.filter((ignore) => part.startsWith(`${ignore.base}/`) || ignore.base === ""),
        part,
        at < segments.length - 1,
      ) !== undefined
    );
  });
}

function gitIgnores(repository: string): string[] {
  const answer = spawnSync("git", ["-C", repository, "check-ignore", "--no-index", "--stdin", "-z"], {
    input: PATHS.join("\0"),
    encoding: "utf8",
  });
  assert.ok(answer.status === 0 || answer.status === 1, answer.stderr);
  const ignored = new Set(answer.stdout.split("\0"));
  return PATHS.filter((file) => ignored.has(file));
}

function createRepository(): string {
  const repository = tempFolder();
  execFileSync("git", ["init", "-q", repository]);
  for (const file of PATHS) {
    mkdirSync(path.dirname(path.join(repository, file)), { recursive: true });
    writeFileSync(path.join(repository, file), "");
  }
  return repository;
}

function randomFile(random: (below: number) => number): string {
  const lines = Array.from({ length: 1 + random(5) }, () => {
    if (random(3) > 0) return (random(4) === 0 ? "!" : "") + (PATTERNS[random(PATTERNS.length)] ?? "");
    const pieces = ["*", "**", "/", "a", "foo", "?", "[a-z]", "b", ".", "dir", "log"];
    return Array.from({ length: 1 + random(5) }, () => pieces[random(pieces.length)] ?? "").join("");
  });
  return `${lines.join("\n")}\n`;
}

/** mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
