import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { digestOf } from "../../../proto/digest.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { encodeTree, treeDigest } from "../../../proto/tree.ts";
import {
  type ArchiveSink,
  bufferSource,
  fileSource,
  readArchive,
} from "../../../workers/archive/read-archive.ts";
import { noise } from "../../helpers/hostile-sizes.ts";
import { hashingSink, listArchive } from "../../helpers/list-archive.ts";
import { directory, file, gzip, hardlink, pax, symlink, tar, tgz } from "../../helpers/tar-builder.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const options = { limits: ARCHIVE_LIMITS, portableNames: false };

function paths(bytes: Buffer, strip = 0): string[] {
  return listArchive(bytes, { strip }).tree.entries.map((entry) => entry.path);
}

describe("reading an archive", () => {
  it("takes 15,000 entries with the pax times that GNU tar and Python write for each", () => {
    const times = {
      mtime: "1700000000.123456789",
      atime: "1700000000.123456789",
      ctime: "1700000000.123456789",
    };
    const archive = tgz(
      ...Array.from({ length: 15_000 }, (_, i) => Buffer.concat([pax(times), file(`f${i}`, "")])),
    );
    assert.equal(paths(archive).length, 15_000);
  });

  it("answers the canonical tree, the counts and the sizes", () => {
    const archive = tgz(
      directory("./"),
      file("./b", "hello", { mode: "0000755\0" }),
      directory("e/"),
      directory("d/"),
      file("d/a", ""),
      symlink("l", "b"),
      hardlink("h", "./b", { mode: "0000755\0" }),
    );
    const report = listArchive(archive);
    const hello = digestOf("hello");
    assert.deepEqual(report.tree, {
      entries: [
        { type: "file", path: "b", executable: true, digest: hello, size: 5 },
        { type: "file", path: "d/a", executable: false, digest: digestOf(""), size: 0 },
        { type: "directory", path: "e" },
        { type: "file", path: "h", executable: true, digest: hello, size: 5 },
        { type: "symlink", path: "l", target: "b" },
      ],
      warnings: [],
    });
    assert.equal(report.entries, 7);
    assert.equal(report.expandedBytes, 7 * 512 + 512 + 1024);
    assert.equal(report.compressedBytes, archive.length);
  });

  it("answers the same tree whatever the order, owners, times and format", () => {
    const one = listArchive(tgz(file("a", "1"), file("b", "2")));
    const other = listArchive(
      tgz(
        directory("./"),
        pax({ path: "b", mtime: "5" }),
        file("x", "2", { uid: "0000000\0" }),
        file("./a", "1", { magic: "gnu", mtime: "00000000000\0" }),
      ),
    );
    assert.equal(treeDigest(one.tree.entries), treeDigest(other.tree.entries));
  });

  it("reads from a file as from memory", () => {
    const archive = tgz(file("a", noise(500_000)));
    const path = join(tempFolder(), "a.tgz");
    writeFileSync(path, archive);
    const fd = openSync(path, "r");
    const fromFile = readArchive(fileSource(fd), { ...options, sink: hashingSink() });
    closeSync(fd);
    assert.deepEqual(fromFile, listArchive(archive));
  });

  it("hands each file to the sink whole, in archive order, and only after its header was checked", () => {
    const content = noise(200_000);
    const calls: string[] = [];
    let received: Buffer[] = [];
    const sink: ArchiveSink = {
      beginFile(entry) {
        calls.push(`${entry.path} ${entry.size} ${entry.executable} ${entry.wanted}`);
        received = [];
      },
      fileData: (chunk) => void received.push(Buffer.from(chunk)),
      endFile() {
        const bytes = Buffer.concat(received);
        calls.push(String(bytes.length));
        return digestOf(bytes);
      },
    };
    const archive = tgz(
      file("big", content),
      file("empty", ""),
      file(".git/config", "x"),
      file("run", "#!", { mode: "0000100\0" }),
    );
    const { tree } = readArchive(bufferSource(archive), { ...options, sink });
    assert.deepEqual(calls, [
      "big 200000 false true",
      "200000",
      "empty 0 false true",
      "0",
      ".git/config 1 false false",
      "1",
      "run 2 true true",
      "2",
    ]);
    assert.deepEqual(
      tree.entries.map((entry) => (entry.type === "file" ? entry.digest : "")),
      [digestOf(content), digestOf(""), digestOf("#!")],
    );
    calls.length = 0;
    assert.throws(
      () => readArchive(bufferSource(tgz(file("a", "1"), file("a", "2"))), { ...options, sink }),
      { code: "ARCHIVE_PATH_DUPLICATE" },
    );
    assert.deepEqual(calls, ["a 1 false true", "1"]);
  });

  it("passes on what the sink throws", () => {
    const full = new Error("disk full");
    const sink: ArchiveSink = {
      beginFile() {},
      fileData() {
        throw full;
      },
      endFile: () => undefined,
    };
    assert.throws(() => readArchive(bufferSource(tgz(file("a", "1"))), { ...options, sink }), full);
  });

  it("tells its progress in expanded bytes", () => {
    const told: number[] = [];
    readArchive(bufferSource(tgz(file("a", noise(5_000_000)))), {
      ...options,
      sink: hashingSink(),
      onProgress: (bytes) => void told.push(bytes),
    });
    assert.ok(told.length >= 4 && told.length <= 5, String(told));
    assert.ok(told.every((bytes, i) => bytes > (told[i - 1] ?? 0)));
  });

  it("only lets the owner's bit make a file executable", () => {
    const modes = ["0000644\0", "0000755\0", "0000100\0", "0000011\0", "0000000\0", "0100777\0"];
    const { tree } = listArchive(tgz(...modes.map((mode, i) => file(String(i), "", { mode }))));
    assert.deepEqual(
      tree.entries.map((entry) => entry.type === "file" && entry.executable),
      [false, true, true, false, false, true],
    );
  });

  it("warns of setuid, setgid and sticky bits and drops them", () => {
    const { tree } = listArchive(
      tgz(
        file("a", "", { mode: "0004755\0" }),
        file("b", "", { mode: "0002644\0" }),
        directory("d/", { mode: "0001777\0" }),
      ),
    );
    assert.deepEqual(tree.warnings, ['setuid, setgid and sticky bits are dropped: "a" and 2 more']);
  });

  it("leaves .git and .granary at the root out and says so", () => {
    const { tree } = listArchive(
      tgz(
        directory(".git/"),
        file(".git/HEAD", "x"),
        file(".granary", ""),
        file("sub/.git/HEAD", "x"),
        file(".gitignore", ""),
      ),
    );
    assert.deepEqual(
      tree.entries.map((entry) => entry.path),
      [".gitignore", "sub/.git/HEAD"],
    );
    assert.deepEqual(tree.warnings, ["left out 3 entries of .git and .granary"]);
  });

  it("warns of names that are not portable, and refuses them where the project wants so", () => {
    const archive = tgz(
      file("README", ""),
      file("readme", ""),
      file("straße", ""),
      file("STRASSE", ""),
      file("aux.txt", ""),
      file("ab:c", ""),
      file("dot.", ""),
    );
    const { warnings } = listArchive(archive).tree;
    assert.equal(warnings.length, 5);
    assert.throws(() => listArchive(archive, { portableNames: true }), { code: "ARCHIVE_PATH_NOT_PORTABLE" });
    assert.deepEqual(paths(archive).length, 7);
  });
});

describe("strip", () => {
  const archive = tgz(
    directory("app/"),
    file("app/a", "1"),
    file("app/sub/b", "2"),
    hardlink("app/h", "app/a"),
    symlink("app/l", "sub/b"),
    directory("app/empty/"),
  );

  it("removes leading segments of paths and hardlink targets, not of symlink targets", () => {
    assert.deepEqual(paths(archive, 1), ["a", "empty", "h", "l", "sub/b"]);
  });

  it("skips directories that vanish and refuses files that would", () => {
    assert.deepEqual(paths(tgz(directory("a/"), directory("a/b/"), file("a/b/c", "")), 2), ["c"]);
    assert.throws(() => listArchive(archive, { strip: 2 }), { code: "USAGE" });
  });

  it("cannot hide a bad path in what it removes", () => {
    assert.throws(() => listArchive(tgz(file("../a", "")), { strip: 1 }), { code: "ARCHIVE_PATH_TRAVERSAL" });
    assert.throws(() => listArchive(tgz(file("/etc/a", "")), { strip: 1 }), {
      code: "ARCHIVE_PATH_ABSOLUTE",
    });
    assert.throws(() => listArchive(tgz(directory("a\\b/"), file("a/c", "")), { strip: 1 }), {
      code: "ARCHIVE_NAME_BACKSLASH",
    });
  });

  it("refuses paths that become one", () => {
    assert.throws(() => listArchive(tgz(file("a/x", ""), file("b/x", "")), { strip: 1 }), {
      code: "ARCHIVE_PATH_DUPLICATE",
    });
  });

  it("refuses hardlinks whose target vanishes", () => {
    assert.throws(() => listArchive(tgz(directory("d/"), hardlink("d/h", "d")), { strip: 1 }), {
      code: "ARCHIVE_HARDLINK_TARGET",
    });
  });

  it("refuses counts that make no sense", () => {
    for (const strip of [-1, 1.5, Number.NaN])
      assert.throws(() => listArchive(archive, { strip }), { code: "USAGE" });
  });

  it("is hinted at where one top directory holds a karta.toml or Dockerfile", () => {
    const hinted = (bytes: Buffer) =>
      listArchive(bytes).tree.warnings.some((warning) => warning.includes("--strip 1"));
    assert.ok(hinted(tgz(file("app/karta.toml", ""), file("app/a", ""))));
    assert.ok(hinted(tgz(directory("app/"), file("app/Dockerfile", ""))));
    assert.ok(!hinted(tgz(file("app/karta.toml", ""), file("b", ""))), "something lies beside it");
    assert.ok(!hinted(tgz(file("app/sub/karta.toml", ""))), "it lies two levels down");
    assert.ok(!hinted(tgz(file("karta.toml", ""))));
    assert.ok(!hinted(archive));
    assert.equal(
      listArchive(tgz(file("x/app/karta.toml", "")), { strip: 1 }).tree.warnings.length,
      0,
      "not where the caller strips already",
    );
  });
});

describe("the reader's memory of names", () => {
  it("keeps nothing of a window that is reused", () => {
    const archive = gzip(tar(...Array.from({ length: 3_000 }, (_, i) => file(`name-${i}`, noise(i % 700)))));
    const { tree } = listArchive(archive);
    assert.equal(tree.entries.length, 3_000);
    assert.ok(tree.entries.every((entry) => /^name-[0-9]+$/.test(entry.path)));
    assert.ok(encodeTree(tree.entries).length > 0);
  });
});
