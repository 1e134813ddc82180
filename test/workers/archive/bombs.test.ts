import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { cpuMs } from "../../helpers/cpu-ms.ts";
import { manyEntries } from "../../helpers/hostile-sizes.ts";
import { listArchive } from "../../helpers/list-archive.ts";
import { file, type HeaderFields, pax, tgz } from "../../helpers/tar-builder.ts";

const MIB = 1024 * 1024;
/** Windows are freed when V8 gets to it, and from Node 24 on it takes its time: 27 MiB on Node 20 and 22, 40 to 48 on 24. */
const GROWN_BYTES_MAX = (Number.parseInt(process.versions.node, 10) < 24 ? 50 : 80) * MIB;
/** Over a whole GiB: 28 to 43 MiB on Node 20 and 22, 60 to 120 on 24. What counts is that it is not 1,024. */
const GROWN_BYTES_MAX_ALLOWED = 150 * MIB;
const MAIN = fileURLToPath(new URL("../../helpers/archive-bomb-main.js", import.meta.url));

describe("a bomb costs little", () => {
  it("1 GiB of zeros is refused within a second of work and 50 MiB", () => {
    const { code, elapsedMs, grownBytes } = readBomb(1024, 200);
    assert.equal(code, "ARCHIVE_RATIO");
    assert.ok(elapsedMs < 1_000, `${elapsedMs} ms`);
    assert.ok(grownBytes < GROWN_BYTES_MAX, `${grownBytes / MIB} MiB`);
  });

  it("1 GiB of zeros that the operator allows is read without holding it", () => {
    const { code, grownBytes } = readBomb(1024, 5_000);
    assert.equal(code, "ARCHIVE_GZIP_CORRUPT", "it came to the trailer, which is forged");
    assert.ok(grownBytes < GROWN_BYTES_MAX_ALLOWED, `${grownBytes / MIB} MiB`);
  });
});

describe("archives of very many entries take seconds, not minutes:", () => {
  /** A fifth of the limit keeps the suite quick; anything quadratic would take a minute even so. */
  const COUNT = 40_000;
  /** Processor time, ten times what is needed. */
  const WITHIN_MS = 5_000;
  const cases: readonly { name: string; fields: (i: number) => HeaderFields; entries?: number }[] = [
    { name: "40,000 files in one directory", fields: (i) => ({ name: `f${i}` }), entries: COUNT },
    {
      name: "40,000 files below one prefix of 61 directories",
      fields: (i) => ({ prefix: `${"d/".repeat(60)}d`, name: `f${i}` }),
      entries: COUNT,
    },
    {
      name: "40,000 names of 245 bytes",
      fields: (i) => ({ prefix: "p".repeat(150), name: `${"n".repeat(88)}${String(i).padStart(6, "0")}` }),
      entries: COUNT,
    },
    {
      name: "40,000 files in capitals and ligatures",
      fields: (i) => ({ name: `ÀßŒ${i}` }),
      entries: COUNT,
    },
    {
      name: "40,000 pairs that differ in case",
      fields: (i) => ({ name: `${i >> 1}${i % 2 === 0 ? "A" : "a"}` }),
      entries: COUNT,
    },
    {
      name: "40,000 hardlinks, each to the one before",
      fields: (i) => (i === 0 ? { name: "l0" } : { name: `l${i}`, type: "1", link: `l${i - 1}` }),
      entries: COUNT,
    },
    {
      name: "40,000 symlinks, each to the one before",
      fields: (i) => (i === 0 ? { name: "l0" } : { name: `l${i}`, type: "2", link: `l${i - 1}` }),
    },
    {
      name: "40,000 symlinks of 40 steps",
      fields: (i) =>
        i === 0 ? { name: "a/f" } : { name: `a/l${i}`, type: "2", link: `${"../a/".repeat(19)}f` },
      entries: COUNT,
    },
    {
      name: "40,000 files that imply 2.5 million directories",
      fields: (i) => ({ prefix: `${i}/${"d/".repeat(60)}d`, name: "f" }),
    },
  ];
  for (const { name, fields, entries } of cases) {
    it(name, () => {
      const archive = manyEntries(COUNT, fields);
      const { ms, value } = cpuMs(() => listArchive(archive).entries);
      assert.equal(value, entries);
      assert.ok(ms < WITHIN_MS, `${ms} ms`);
    });
  }

  it("1 MiB of pax records in 17 headers of 1,900 keys", () => {
    const headers = Array.from({ length: 17 }, (_, i) => {
      const records = Object.fromEntries(
        Array.from({ length: 1_900 }, (_, k) => [`SCHILY.xattr.user.${k}`, "x"]),
      );
      return Buffer.concat([pax(records), file(`f${i}`, "x")]);
    });
    const { ms, value } = cpuMs(() => listArchive(tgz(...headers)).entries);
    assert.equal(value, 17);
    assert.ok(ms < WITHIN_MS, `${ms} ms`);
  });

  it("names that a backtracking pattern would chew on", () => {
    const names = [
      "a".repeat(250),
      "/a".repeat(60).slice(1),
      "com".repeat(80),
      ". ".repeat(100).concat("x"),
      " ".repeat(250),
      "ﬃ".repeat(80),
    ];
    const archive = tgz(...names.map((path) => Buffer.concat([pax({ path }), file("cut", "")])));
    const { ms, value } = cpuMs(() => listArchive(archive).entries);
    assert.equal(value, names.length);
    assert.ok(ms < 1_000, `${ms} ms`);
  });
});

function readBomb(mebibytes: number, ratio: number): { code: string; elapsedMs: number; grownBytes: number } {
  return JSON.parse(
    execFileSync(process.execPath, [MAIN, String(mebibytes), String(ratio)], { encoding: "utf8" }),
  );
}
