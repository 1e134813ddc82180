import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { layerPieces } from "../../proto/layers.ts";
import { comparePaths, type TreeEntry } from "../../proto/tree.ts";
import { buildLayer, contentOf, freshFiles, type HeldLayer, planLayer } from "../../workers/held-layer.ts";
import { LayerMemory } from "../../workers/layer-memory.ts";
import { random } from "../helpers/random.ts";

const contents = new Map<Digest, Buffer>();

function file(path: string, content: string, executable = false): TreeEntry {
  const bytes = Buffer.from(content);
  const digest = digestOf(bytes);
  contents.set(digest, bytes);
  return { type: "file", path, executable, digest, size: bytes.byteLength };
}

function bytesOf(digest: Digest): Buffer {
  return contents.get(digest) ?? assert.fail(digest);
}

function wholeLayer(entries: readonly TreeEntry[]): Buffer {
  return Buffer.concat(
    [...layerPieces(entries)].map((piece) => (piece.kind === "bytes" ? piece.bytes : bytesOf(piece.digest))),
  );
}

function build(
  entries: readonly TreeEntry[],
  twin: HeldLayer | undefined,
  memory = new LayerMemory(),
): { layer: HeldLayer; brought: Digest[] } {
  const brought: Digest[] = [];
  const layer = buildLayer(planLayer(entries, twin), memory, ({ digest }, into, at) => {
    brought.push(digest);
    into.set(bytesOf(digest), at);
  });
  return { layer, brought };
}

const sorted = (entries: Iterable<TreeEntry>): TreeEntry[] =>
  [...entries].sort((a, b) => comparePaths(a.path, b.path));

test("a layer that is made from another one has the bytes that it has when it is made alone, whatever differs", (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const next = random(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  const name = (): string => ["a", "b", "c.d", "ü", "n".repeat(60), "e!"][pick(6)] ?? "a";
  const path = (): string => Array.from({ length: 1 + pick(4) }, name).join("/");
  const entry = (at: string): TreeEntry => {
    const kind = pick(10);
    if (kind === 0)
      return { type: "symlink", path: at, target: "../".repeat(pick(3)) + "t".repeat(1 + pick(150)) };
    if (kind === 1) return { type: "directory", path: at };
    return file(at, "x".repeat(pick(3) * 512 + pick(3)) + pick(4), pick(3) === 0);
  };
  const memory = new LayerMemory();
  let table = new Map<string, TreeEntry>();
  let twin: { layer: HeldLayer; subtree: Digest } | undefined;
  for (let round = 0; round < 300; round++) {
    for (let edits = pick(6); edits >= 0; edits--) {
      const paths = [...table.keys()];
      const at = pick(2) === 0 ? path() : (paths[pick(paths.length)] ?? path());
      if (pick(4) === 0) table.delete(at);
      else table.set(at, entry(at));
    }
    // Also entries that are equal without being the same objects.
    if (pick(5) === 0) table = new Map([...table].map(([at, is]) => [at, { ...is }]));
    if (pick(30) === 0) table.clear();
    const entries = sorted(table.values());
    const plan = planLayer(entries, twin?.layer);
    const { layer, brought } = build(entries, twin?.layer, memory);
    assert.ok(layer.bytes.equals(wholeLayer(entries)), `round ${round}`);
    assert.deepEqual(
      new Set(brought),
      new Set(freshFiles(plan).flatMap(({ digest, size }) => (size === 0 ? [] : [digest]))),
    );
    entries.forEach((is, i) => {
      if (is.type === "file") assert.ok(contentOf(layer, i).equals(bytesOf(is.digest)), is.path);
    });
    const subtree = digestOf(Buffer.from(`${round}`));
    memory.set(subtree, layer, twin?.subtree);
    twin = { layer, subtree };
  }
});

test("of a layer in which one file changed only that file's content is asked for", () => {
  const entries = sorted(["a/one", "a/two", "b/three"].map((path) => file(path, path)));
  const { layer } = build(entries, undefined);
  const changed = entries.map((entry) =>
    entry.path === "a/two" ? file("a/two", "longer than before") : entry,
  );
  assert.deepEqual(build(changed, layer).brought, [digestOf(Buffer.from("longer than before"))]);
});

test("the buffer of a layer that was replaced is used again, and never that of one that is still held", () => {
  const memory = new LayerMemory();
  const [first, second, third] = ["1", "2", "3"].map((text) => digestOf(Buffer.from(text))) as [
    Digest,
    Digest,
    Digest,
  ];
  const one = build([file("f", "one")], undefined, memory).layer;
  memory.set(first, one, undefined);
  const two = build([file("f", "two")], one, memory).layer;
  assert.notEqual(two.bytes.buffer, one.bytes.buffer);
  memory.set(second, two, first);
  assert.equal(memory.get(first), undefined);
  const three = build([file("f", "three")], two, memory).layer;
  assert.equal(three.bytes.buffer, one.bytes.buffer);
  memory.set(third, three, second);
  assert.ok(memory.get(third)?.bytes.equals(wholeLayer([file("f", "three")])));
});
