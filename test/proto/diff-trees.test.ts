import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { diffTrees } from "../../proto/diff-trees.ts";
import { digestOf } from "../../proto/digest.ts";
import { comparePaths, type TreeEntry } from "../../proto/tree.ts";

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
    [...diffTrees(from, to)].map(({ path, change }) => `${change} ${path}`),
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
    [...diffTrees(from, to)].map((one) => one.change),
    ["removed", "changed"],
  );
});

test("a diff applied to its origin gives its target, for any two trees", () => {
  const tree = fc
    .dictionary(
      fc.string({ minLength: 1, maxLength: 4 }),
      fc.tuple(fc.constantFrom("1", "2", "3"), fc.boolean()),
    )
    .map((paths) =>
      Object.entries(paths)
        .map(([path, [content, executable]]) => file(path, content, executable))
        .sort((a, b) => comparePaths(a.path, b.path)),
    );
  fc.assert(
    fc.property(tree, tree, (from, to) => {
      const result = new Map(from.map((entry) => [entry.path, entry]));
      for (const { path, to: entry } of diffTrees(from, to)) {
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
