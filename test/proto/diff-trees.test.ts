import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { diffTrees } from "../../proto/diff-trees.ts";
import { digestOf } from "../../proto/digest.ts";
import { comparePaths, encodeTree, type TreeEntry } from "../../proto/tree.ts";
import { entryOf, lineBehind, treeEntries } from "../../proto/tree-lines.ts";

/** The changes with entries in place of lines. */
function changes(
  from: readonly TreeEntry[],
  to: readonly TreeEntry[],
): { change: string; path: string; from?: TreeEntry | undefined; to?: TreeEntry | undefined }[] {
  const [left, right] = [encodeTree(from), encodeTree(to)];
  return [...diffTrees(left, right)].map((one) => {
    const before = one.from === undefined ? undefined : entryOf(left, one.from);
    const after = one.to === undefined ? undefined : entryOf(right, one.to);
    return { change: one.change, path: (after ?? before)?.path ?? "", from: before, to: after };
  });
}

const file = (path: string, content: string, executable = false): TreeEntry => ({
  type: "file",
  path,
  executable,
  digest: digestOf(content),
  size: content.length,
});

test("a diff names what was added, removed, changed, and whose mode or type changed", () => {
  const from = [file("a", "1"), file("b", "1"), file("c", "1"), file("d", "1"), file("e", "1")];
  const to: TreeEntry[] = [
    file("a", "1"),
    file("b", "2"),
    file("c", "1", true),
    { type: "symlink", path: "d", target: "a" },
    file("f", "1"),
  ];
  assert.deepEqual(
    changes(from, to).map(({ path, change }) => `${change} ${path}`),
    ["changed b", "mode c", "type d", "removed e", "added f"],
  );
});

test("a link that points elsewhere is changed, an empty directory is added and removed", () => {
  const from: TreeEntry[] = [
    { type: "directory", path: "d" },
    { type: "symlink", path: "l", target: "x" },
  ];
  const to: TreeEntry[] = [{ type: "symlink", path: "l", target: "y" }];
  assert.deepEqual(
    changes(from, to).map((one) => one.change),
    ["removed", "changed"],
  );
});

const tree = fc
  .dictionary(
    fc.oneof(
      fc.string({ minLength: 1, maxLength: 4 }),
      fc.string({ unit: "grapheme", minLength: 1, maxLength: 4 }),
    ),
    fc.tuple(fc.constantFrom("1", "2", "3"), fc.boolean(), fc.constantFrom("file", "symlink", "directory")),
  )
  .map((paths) =>
    Object.entries(paths)
      .filter(([path]) => !path.includes("\n") && !path.includes("\0") && path.isWellFormed())
      .map(([path, [content, executable, type]]): TreeEntry => {
        if (type === "directory") return { type, path };
        return type === "symlink" ? { type, path, target: content } : file(path, content, executable);
      })
      .sort((a, b) => comparePaths(a.path, b.path)),
  );

test("a diff applied to its origin gives its target and names nothing that is equal, for any two trees", () => {
  fc.assert(
    fc.property(tree, tree, (from, to) => {
      const result = new Map(from.map((entry) => [entry.path, entry]));
      let before: string | undefined;
      for (const { path, from: left, to: entry } of changes(from, to)) {
        assert.notDeepEqual(left, entry);
        assert.ok(before === undefined || comparePaths(before, path) < 0, "in path order, each once");
        before = path;
        if (entry === undefined) result.delete(path);
        else result.set(path, entry);
      }
      assert.deepEqual(
        [...result.values()].sort((a, b) => comparePaths(a.path, b.path)),
        to,
      );
    }),
  );
});

test("a few changes anywhere among thousands of entries are found, and nothing else", () => {
  const base = Array.from({ length: 5_000 }, (_, i) =>
    file(`d${String(i % 50).padStart(2, "0")}/${i}.js`, `${i}`),
  ).sort((a, b) => comparePaths(a.path, b.path));
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(4_999), { maxLength: 10 }), (places) => {
      const changed = new Set(places);
      const to = base.flatMap((entry, i) => {
        if (!changed.has(i)) return [entry];
        if (i % 3 === 0) return [];
        return i % 3 === 1 ? [file(entry.path, "other")] : [entry, file(`${entry.path}.map`, "new")];
      });
      const expected = places.sort((a, b) => a - b).map((i) => ["removed", "changed", "added"][i % 3]);
      assert.deepEqual(
        changes(base, to).map(({ change }) => change),
        expected,
      );
    }),
    { numRuns: 50 },
  );
});

test("what lies behind a path is found among the lines, whether the path is there or not", () => {
  fc.assert(
    fc.property(tree, fc.string({ unit: "grapheme", maxLength: 5 }), (entries, other) => {
      const bytes = encodeTree(entries);
      for (const path of [...entries.map((entry) => entry.path), other]) {
        const behind = [...treeEntries(bytes, lineBehind(bytes, Buffer.from(path)))];
        const expected = entries.filter(
          (entry) => Buffer.compare(Buffer.from(entry.path), Buffer.from(path)) > 0,
        );
        assert.deepEqual(behind, expected);
      }
    }),
  );
});

test("bytes that are no tree are refused, not listed", () => {
  const good = encodeTree([file("a", "1")]);
  for (const bytes of [Buffer.from(""), Buffer.from("granary-tree/2\n"), good.subarray(0, -1)]) {
    assert.throws(() => [...treeEntries(bytes)], { code: "STORE_CORRUPT" });
    assert.throws(() => [...diffTrees(good, bytes)], { code: "STORE_CORRUPT" });
  }
  assert.throws(() => [...treeEntries(Buffer.from("granary-tree/1\nz a\n"))], { code: "STORE_CORRUPT" });
});
