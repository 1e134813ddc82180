import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { digestOf } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { ARCHIVE_LIMITS, LIMITS } from "../../proto/limits.ts";
import { encodeTree, parseTree, treeDigest } from "../../proto/tree.ts";
import { type BuiltTree, type SourceEntry, TreeBuilder } from "../../proto/tree-builder.ts";

const DIGEST = digestOf("x");
const file = (path: string, executable = false, size = 1): SourceEntry => ({
  type: "file",
  path,
  executable,
  size,
});
const directory = (path: string): SourceEntry => ({ type: "directory", path });
const symlink = (path: string, target: string): SourceEntry => ({ type: "symlink", path, target });
const hardlink = (path: string, target: string): SourceEntry => ({ type: "hardlink", path, target });

function build(
  entries: readonly SourceEntry[],
  options: { limits?: Partial<typeof ARCHIVE_LIMITS>; portableNames?: boolean } = {},
): BuiltTree {
  const builder = new TreeBuilder({
    limits: { ...ARCHIVE_LIMITS, ...options.limits },
    portableNames: options.portableNames ?? false,
  });
  for (const entry of entries)
    if (builder.add(entry) && entry.type === "file") builder.setDigest(entry.path, DIGEST);
  return builder.finish();
}

const paths = (entries: readonly SourceEntry[]): string[] =>
  build(entries).entries.map((entry) => entry.path);

describe("a tree that is built", () => {
  it("has the bytes and digest that were written down, for ever", () => {
    const { entries } = build([
      symlink("l", "b/run"),
      file("b/run", true, 10),
      file("a", false, 5),
      directory("b"),
      directory("empty"),
      hardlink("h", "a"),
    ]);
    const hex = DIGEST.slice(7);
    assert.equal(
      encodeTree(entries).toString(),
      `granary-tree/1\nf ${hex} 5 a\nx ${hex} 10 b/run\nd empty\nf ${hex} 5 h\nl l\0b/run\n`,
    );
    assert.equal(
      treeDigest(entries),
      "sha256:22c4ef25e33d4028b8c1b6ccb0689aab2a1f0da94d86c0c7b19c36f27d19cc4a",
    );
  });

  it("is sorted by the bytes of its paths, also where UTF-16 says otherwise", () => {
    assert.deepEqual(
      paths([file("😀"), file("\uffee"), file("ä"), file("z"), file("a/b"), file("a.b"), file("a-b")]),
      ["a-b", "a.b", "a/b", "z", "ä", "\uffee", "😀"],
    );
  });

  it("lists only directories that are empty", () => {
    assert.deepEqual(paths([directory("a"), directory("a/b"), directory("c"), file("a/b/f")]), [
      "a/b/f",
      "c",
    ]);
    assert.deepEqual(paths([file("a/b/f"), directory("a/b"), directory("a")]), ["a/b/f"]);
  });

  it("makes files of hardlinks, with the content and mode of the file behind them", () => {
    const { entries } = build([file("a", true, 7), hardlink("b", "a"), hardlink("c", "b")]);
    assert.deepEqual(entries[2], { type: "file", path: "c", executable: true, digest: DIGEST, size: 7 });
  });

  it("is the same whatever order its entries came in", () => {
    const given = [
      file("a"),
      file("b/c"),
      directory("d"),
      symlink("e", "a"),
      file("é"),
      file("B"),
      symlink("f", "b"),
    ];
    const expected = treeDigest(build(given).entries);
    fc.assert(
      fc.property(fc.shuffledSubarray(given, { minLength: given.length }), (order) =>
        assert.equal(treeDigest(build(order).entries), expected),
      ),
    );
  });

  it("parses back from its bytes", () => {
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 8 })
      .filter(
        (text) =>
          !/[\\/\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u.test(text) &&
          !/^(?:\.|\.\.|[A-Za-z]:.*|\.git|\.granary)$/.test(text),
      );
    const entry = fc.record({
      path: name.map((text) => text.normalize("NFC")),
      kind: fc.constantFrom("f", "x", "l", "d"),
      size: fc.nat(),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(entry, { selector: ({ path }) => path, minLength: 1, maxLength: 20 }),
        (given) => {
          const { entries } = build([
            file("\u00e5 always"),
            ...given.map(({ path, kind, size }) =>
              kind === "l"
                ? symlink(path, ".")
                : kind === "d"
                  ? directory(path)
                  : file(path, kind === "x", size % 1000),
            ),
          ]);
          assert.deepEqual(parseTree(encodeTree(entries)), entries);
        },
      ),
    );
  });
});

describe("a tree is refused", () => {
  const refused: readonly [name: string, code: string, entries: readonly SourceEntry[]][] = [
    ["with a path twice", "ARCHIVE_PATH_DUPLICATE", [file("a"), symlink("a", "b")]],
    ["with a directory twice", "ARCHIVE_PATH_DUPLICATE", [directory("a"), directory("a")]],
    ["with twins under NFC", "ARCHIVE_PATH_COLLISION", [file("é"), file("e\u0301")]],
    [
      "with twins under NFC in implied directories",
      "ARCHIVE_PATH_COLLISION",
      [file("e\u0301/a"), file("é/b")],
    ],
    [
      "with an implied directory that is a listed file's twin",
      "ARCHIVE_PATH_COLLISION",
      [file("é"), file("e\u0301/b")],
    ],
    ["with a file as a parent", "ARCHIVE_PATH_CONFLICT", [file("a/b"), file("a")]],
    ["with a symlink as a parent", "ARCHIVE_PATH_CONFLICT", [directory("d"), symlink("a", "d"), file("a/b")]],
    ["with a hardlink as a parent", "ARCHIVE_PATH_CONFLICT", [file("f"), hardlink("a", "f"), file("a/b")]],
    ["with a hardlink to a later file", "ARCHIVE_HARDLINK_TARGET", [hardlink("b", "a"), file("a")]],
    ["with a hardlink to itself", "ARCHIVE_HARDLINK_TARGET", [hardlink("b", "b")]],
    ["with a hardlink to a directory", "ARCHIVE_HARDLINK_TARGET", [directory("a"), hardlink("b", "a")]],
    [
      "with a hardlink to a symlink",
      "ARCHIVE_HARDLINK_TARGET",
      [file("f"), symlink("a", "f"), hardlink("b", "a")],
    ],
    [
      "with a hardlink to what is left out",
      "ARCHIVE_HARDLINK_TARGET",
      [file(".git/a"), hardlink("b", ".git/a")],
    ],
    [
      "with a hardlink of another mode",
      "ARCHIVE_META_CONFLICT",
      [file("a"), { type: "hardlink", path: "b", target: "a", executable: true }],
    ],
    ["with an absolute symlink", "ARCHIVE_LINK_ABSOLUTE", [symlink("a", "/b")]],
    ["with an empty symlink", "ARCHIVE_LINK_EMPTY", [symlink("a", "")]],
    ["with a symlink that leaves as text", "ARCHIVE_LINK_ESCAPES", [symlink("a", "b/../../c")]],
    ["with a symlink of 1,025 bytes", "ARCHIVE_PATH_TOO_LONG", [symlink("a", "b/".repeat(512).concat("c"))]],
    ["that is empty", "ARCHIVE_EMPTY", []],
    ["of nothing but directories", "ARCHIVE_EMPTY", [directory("a")]],
  ];
  for (const [name, code, entries] of refused) it(name, () => assert.throws(() => build(entries), { code }));

  it("beyond each of its limits, with what was there and what is allowed", () => {
    const beyond = (
      entries: readonly SourceEntry[],
      limits: Partial<typeof ARCHIVE_LIMITS>,
      code: string,
      actual: number,
      limit: number,
    ) =>
      assert.throws(
        () => build(entries, { limits }),
        (error: unknown) => {
          assert.ok(error instanceof GranaryError, String(error));
          const { detail } = error;
          assert.deepEqual([error.code, detail["actual"], detail["limit"]], [code, actual, limit]);
          return true;
        },
      );
    beyond([file("a"), directory("b"), file("c")], { entries: 2 }, "ARCHIVE_TOO_MANY_ENTRIES", 3, 2);
    beyond([file("a/b/c/d")], { entries: 2 }, "ARCHIVE_TOO_MANY_ENTRIES", 3, 2);
    beyond([file("a", false, 101)], { fileBytes: 100 }, "ARCHIVE_FILE_TOO_LARGE", 101, 100);
    beyond(
      [file("a", false, 60), file("b", false, 60)],
      { expandedBytes: 100 },
      "ARCHIVE_TOO_LARGE",
      120,
      100,
    );
    beyond([file("a", false, 60), hardlink("b", "a")], { expandedBytes: 100 }, "ARCHIVE_TOO_LARGE", 120, 100);
  });
});

describe("a tree that is only unwise", () => {
  it("has warnings, as many as a reader can take in", () => {
    const many = build(Array.from({ length: 50 }, (_, i) => file(`a${i}?`)));
    assert.equal(many.warnings.length, LIMITS.warnings + 1);
    assert.equal(many.warnings.at(-1), "30 more warnings");
  });

  it("names both of a pair that differs in case, in either order, listed or implied", () => {
    for (const pair of [
      [file("Readme"), file("readme")],
      [file("readme"), file("Readme")],
      [file("straße"), file("STRASSE")],
      [file("A/x"), file("a/y")],
    ]) {
      const { warnings } = build(pair);
      assert.equal(warnings.length, 1, JSON.stringify(warnings));
      assert.match(warnings[0] ?? "", /differ only in case/);
      assert.throws(() => build(pair, { portableNames: true }), { code: "ARCHIVE_PATH_NOT_PORTABLE" });
    }
    assert.deepEqual(build([file("Ab/x"), file("Ab/y"), file("K")]).warnings, []);
  });

  it("says how many entries were left out", () => {
    const { entries, warnings } = build([
      directory(".git"),
      file(".git/a"),
      file(".gitignore"),
      file("sub/.git"),
      file(".granary/b"),
    ]);
    assert.deepEqual(
      entries.map((entry) => entry.path),
      [".gitignore", "sub/.git"],
    );
    assert.deepEqual(warnings, ["left out 3 entries of .git and .granary"]);
  });
});
