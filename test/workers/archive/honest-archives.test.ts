import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import { encodeTree } from "../../../proto/tree.ts";
import { treeOf } from "../../helpers/archive-oracles.ts";
import { noise } from "../../helpers/hostile-sizes.ts";
import { listArchive } from "../../helpers/list-archive.ts";
import { agreeOn } from "../../helpers/read-or-refuse.ts";
import { makeSampleTree } from "../../helpers/sample-tree.ts";
import {
  base256,
  directory,
  file,
  gnuLong,
  gzip,
  hardlink,
  pax,
  symlink,
  tar,
  tgz,
} from "../../helpers/tar-builder.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const PYTHON = `
import os, sys, tarfile
with tarfile.open(sys.argv[2], "w:gz", format=getattr(tarfile, sys.argv[1] + "_FORMAT")) as t:
    for name in sorted(os.listdir(sys.argv[3])):
        t.add(os.path.join(sys.argv[3], name), arcname=name)
`;

describe("an archive made by another program lists the same here, there, and in the directory it was made of:", () => {
  const packers: readonly {
    name: string;
    program: string;
    longNames: boolean;
    args: (out: string, from: string) => string[];
  }[] = [
    {
      name: "GNU tar, gnu format",
      program: "tar",
      longNames: true,
      args: (out, from) => ["--format=gnu", "-czf", out, "-C", from, "."],
    },
    {
      name: "GNU tar, oldgnu format",
      program: "tar",
      longNames: true,
      args: (out, from) => ["--format=oldgnu", "-czf", out, "-C", from, "."],
    },
    {
      name: "GNU tar, pax format",
      program: "tar",
      longNames: true,
      args: (out, from) => ["--format=pax", "-czf", out, "-C", from, "."],
    },
    {
      name: "GNU tar, ustar format",
      program: "tar",
      longNames: false,
      args: (out, from) => ["--format=ustar", "-czf", out, "-C", from, ...readdirSync(from)],
    },
    {
      name: "GNU tar, blocking factor 1",
      program: "tar",
      longNames: true,
      args: (out, from) => ["-b1", "-czf", out, "-C", from, "."],
    },
    {
      name: "bsdtar, default format",
      program: "bsdtar",
      longNames: true,
      args: (out, from) => ["-czf", out, "-C", from, "."],
    },
    {
      name: "bsdtar, pax format",
      program: "bsdtar",
      longNames: true,
      args: (out, from) => ["--format=pax", "-czf", out, "-C", from, "."],
    },
    {
      name: "bsdtar, ustar format",
      program: "bsdtar",
      longNames: false,
      args: (out, from) => ["--format=ustar", "-czf", out, "-C", from, ...readdirSync(from)],
    },
    {
      name: "Python, ustar format",
      program: "python3",
      longNames: false,
      args: (out, from) => ["-c", PYTHON, "USTAR", out, from],
    },
    {
      name: "Python, gnu format",
      program: "python3",
      longNames: true,
      args: (out, from) => ["-c", PYTHON, "GNU", out, from],
    },
    {
      name: "Python, pax format",
      program: "python3",
      longNames: true,
      args: (out, from) => ["-c", PYTHON, "PAX", out, from],
    },
  ];
  for (const { name, program, longNames, args } of packers) {
    it(name, (t) => {
      const folder = tempFolder();
      const from = join(folder, "from");
      mkdirSync(from);
      makeSampleTree(from, { longNames });
      const out = join(folder, "out.tgz");
      if (!runOrSkip(t, program, args(out, from))) return;
      const archive = readFileSync(out);
      assert.equal(listed(archive), treeOf(from));
      agree(archive);
    });
  }

  it("npm pack", (t) => {
    const folder = tempFolder();
    mkdirSync(join(folder, "lib"));
    writeFileSync(join(folder, "package.json"), '{"name":"sample","version":"1.0.0","bin":"lib/cli.js"}');
    writeFileSync(join(folder, "lib/cli.js"), "#!/usr/bin/env node\n");
    writeFileSync(join(folder, "lib", `${"long-".repeat(24)}name.js`), "export {};\n");
    if (!runOrSkip(t, "npm", ["pack", "--offline", "--silent", "--ignore-scripts"], folder)) return;
    const archive = readFileSync(join(folder, "sample-1.0.0.tgz"));
    assert.match(listed(archive), /package\/lib\/cli\.js/);
    agree(archive);
  });

  it("git archive", (t) => {
    const folder = tempFolder();
    makeSampleTree(folder, { longNames: true });
    const identity = [
      "-c",
      "user.name=a",
      "-c",
      "user.email=a@example.invalid",
      "-c",
      "commit.gpgsign=false",
    ];
    if (!runOrSkip(t, "git", ["init", "-q", "."], folder)) return;
    runOrSkip(t, "git", ["add", "-A"], folder);
    runOrSkip(t, "git", [...identity, "commit", "-q", "-m", "sample"], folder);
    runOrSkip(t, "git", ["archive", "--format=tar.gz", "-o", ".git/out.tgz", "HEAD"], folder);
    const archive = readFileSync(join(folder, ".git/out.tgz"));
    assert.match(listed(archive), /zeros\.bin/);
    agree(archive);
  });
});

describe("a legal oddity lists the same in every reader:", () => {
  const body = noise(100_000);
  const plain = tar(
    file("a", body),
    file("b/c", "hello"),
    directory("d/"),
    symlink("l", "b/c"),
    hardlink("h", "a"),
  );
  const halves = [plain.subarray(0, 70_000), plain.subarray(70_000)] as const;
  const oddities: readonly { name: string; bytes: () => Buffer }[] = [
    {
      name: "two gzip members one after the other",
      bytes: () => Buffer.concat(halves.map((half) => gzipSync(half))),
    },
    {
      name: "a gzip member per 512 bytes",
      bytes: () => Buffer.concat(blocksOf(plain).map((block) => gzip(block))),
    },
    {
      name: "empty gzip members between others",
      bytes: () =>
        Buffer.concat([
          gzip(Buffer.alloc(0)),
          gzip(halves[0]),
          gzip(Buffer.alloc(0)),
          gzip(halves[1]),
          gzip(Buffer.alloc(0)),
        ]),
    },
    { name: "blocks with full flushes between them, as pigz writes", bytes: () => pigz(plain) },
    {
      name: "a gzip header with file name, comment, extra field and crc",
      bytes: () => withFullHeader(plain),
    },
    { name: "deflate blocks that only store", bytes: () => gzip(plain, { level: 0 }) },
    {
      name: "zero bytes behind the gzip stream",
      bytes: () => Buffer.concat([gzip(plain), Buffer.alloc(1000)]),
    },
    {
      name: "zero blocks behind the end marker",
      bytes: () => gzip(Buffer.concat([plain, Buffer.alloc(10_240)])),
    },
    {
      name: "a size in base-256",
      bytes: () => tgz(file("a", body, { size: base256(100_000n, 12) }), file("b", "x")),
    },
    {
      name: "owners and times in base-256",
      bytes: () =>
        tgz(
          file("a", "x", {
            magic: "gnu",
            uid: base256(4_000_000_000n, 8),
            gid: base256(3_000_000n, 8),
            mtime: base256(-1_000_000n, 12),
          }),
        ),
    },
    {
      name: "a pax size that replaces the header's",
      bytes: () => tgz(pax({ size: "5" }), file("a", "hello", { size: 0 }), file("b", "x")),
    },
    {
      name: "a pax path that replaces prefix and name",
      bytes: () => tgz(pax({ path: "shown" }), file("hidden", "x", { prefix: "gone" }), file("b", "x")),
    },
    {
      name: "a pax path of 1024 bytes",
      bytes: () =>
        tgz(
          pax({ path: `${`${"p".repeat(203)}/`.repeat(5)}`.slice(0, 1019).concat("/tail") }),
          file("cut", "x"),
        ),
    },
    {
      name: "a pax path whose raw name is cut in a character",
      bytes: () => tgz(pax({ path: "ä" }), file(Buffer.from([0x78, 0xc3]), "x"), file("b", "x")),
    },
    {
      name: "a GNU long name in a ustar header",
      bytes: () => tgz(gnuLong("L", "n".repeat(150), { magic: "ustar" }), file("cut", "x"), file("b", "x")),
    },
    {
      name: "a GNU long name and long link together",
      bytes: () =>
        tgz(
          file("x".repeat(90), "1"),
          gnuLong("K", "x".repeat(90)),
          gnuLong("L", "l".repeat(150)),
          symlink("cut", "cut", { magic: "gnu" }),
        ),
    },
    {
      name: "ignored attributes",
      bytes: () =>
        tgz(
          pax({
            "SCHILY.xattr.user.note": "x",
            "LIBARCHIVE.creationtime": "1700000000.5",
            comment: "c",
            charset: "ISO-IR 10646 2000 UTF-8",
          }),
          file("a", "x"),
        ),
    },
    {
      name: "a global comment",
      bytes: () => tgz(pax({ comment: "0123456789abcdef" }, { type: "g" }), file("a", "x"), file("b", "x")),
    },
    { name: "old files whose type is NUL", bytes: () => tgz(file("a", "x", { type: "\0" }), file("b", "y")) },
    {
      name: "numbers with spaces around them",
      bytes: () =>
        tgz(
          file("a", "x", {
            mode: "   644 \0",
            uid: "  1750 \0",
            size: "00000000001 ",
            mtime: "14371573600 ",
          }),
          file("b", "x"),
        ),
    },
    {
      name: "a mode with file type bits",
      bytes: () => tgz(file("a", "x", { mode: "0100755\0" }), file("b", "x")),
    },
    { name: "a checksum in seven digits", bytes: () => sevenDigitChecksum() },
    {
      name: "the root's own entry",
      bytes: () => tgz(directory("./"), file("./a", "x"), hardlink("./h", "./a")),
    },
    { name: "a directory behind its files", bytes: () => tgz(file("d/a", "x"), directory("d/")) },
    { name: "a directory without a slash", bytes: () => tgz(directory("d"), file("d/a", "x")) },
    {
      name: "prefixes of 130, 131 and 155 bytes",
      bytes: () => tgz(...[130, 131, 155].map((n) => file("x", String(n), { prefix: "p".repeat(n) }))),
    },
    { name: "a prefix behind ./", bytes: () => tgz(file("x", "1", { prefix: "./p" })) },
    {
      name: "a directory that fills the prefix and has no name",
      bytes: () => tgz(directory("", { prefix: "p".repeat(150) }), file("a", "x")),
    },
    {
      name: "a hardlink to a hardlink",
      bytes: () => tgz(file("a", "x"), hardlink("b", "a"), hardlink("c", "b")),
    },
    {
      name: "a chain of 40 symlinks",
      bytes: () =>
        tgz(file("l0", "x"), ...Array.from({ length: 40 }, (_, i) => symlink(`l${i + 1}`, `l${i}`))),
    },
    {
      name: "names that look like options and code",
      bytes: () =>
        tgz(
          ...["-rf", "--help", "$(x)", "a b", "*", "%s", "__proto__", "constructor", "~"].map((name) =>
            file(name, name),
          ),
        ),
    },
    { name: "decomposed names outside pax headers", bytes: () => tgz(file("e\u0301", "x"), file("b", "x")) },
    { name: "an archive shorter than a record", bytes: () => tgz(file("a", "")) },
  ];
  for (const { name, bytes } of oddities) {
    it(name, () => {
      const archive = bytes();
      assert.ok(listed(archive).length > 0);
      agree(archive);
    });
  }
});

function listed(archive: Uint8Array): string {
  return encodeTree(listArchive(archive).tree.entries).toString();
}

function agree(archive: Uint8Array): void {
  agreeOn(archive, listed(archive));
}

function runOrSkip(t: TestContext, program: string, args: readonly string[], cwd?: string): boolean {
  const run = spawnSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (run.error !== undefined) t.skip(`${program} is not installed`);
  else assert.equal(run.status, 0, run.stderr);
  return run.error === undefined;
}

function blocksOf(bytes: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / 512) }, (_, i) =>
    bytes.subarray(512 * i, 512 * (i + 1)),
  );
}

/** One member of deflate blocks that end on byte boundaries. */
function pigz(bytes: Buffer): Buffer {
  const whole = gzip(bytes, { flags: 8, fields: Buffer.from("archive.tar\0") });
  const parts = [bytes.subarray(0, 40_000), bytes.subarray(40_000, 80_000)].map((part) =>
    deflateRawSync(part, { finishFlush: constants.Z_FULL_FLUSH }),
  );
  return Buffer.concat([
    whole.subarray(0, 22),
    ...parts,
    deflateRawSync(bytes.subarray(80_000)),
    whole.subarray(-8),
  ]);
}

function withFullHeader(bytes: Buffer): Buffer {
  const fields = Buffer.concat([
    Buffer.from([4, 0, 1, 2, 3, 4]),
    Buffer.from("näme.tar\0comment\0", "latin1"),
  ]);
  const fixed = Buffer.from([0x1f, 0x8b, 8, 30, 0, 0, 0, 0, 0, 3]);
  const headerCrc = Buffer.alloc(2);
  headerCrc.writeUInt16LE(crcOf(Buffer.concat([fixed, fields])) & 0xffff);
  return gzip(bytes, { flags: 30, fields: Buffer.concat([fields, headerCrc]) });
}

function crcOf(bytes: Buffer): number {
  return gzip(bytes).readUInt32LE(gzip(bytes).length - 8);
}

function sevenDigitChecksum(): Buffer {
  const block = file("a", "x");
  block.write(`0${block.toString("latin1", 148, 154)}\0`, 148, "latin1");
  return tgz(block, file("b", "x"));
}
