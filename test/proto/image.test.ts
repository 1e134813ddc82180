import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { composeImage, DEFAULT_PLATFORM, DEFAULT_USER, imageRef } from "../../proto/image.ts";
import { LAYER_ENCODER, layerPieces, layerSize } from "../../proto/layers.ts";
import {
  RECIPE_VERSION,
  RECIPE_VERSIONS,
  type RecipeVersion,
  type Slice,
  splitTree,
} from "../../proto/split-tree.ts";
import { comparePaths, encodeTree, parseTree, type TreeEntry, treeDigest } from "../../proto/tree.ts";

/** Golden vectors: what was handed out once must never change. docs/image-spec.md explains them. */
interface Vector {
  readonly name: string;
  readonly recipe_version: RecipeVersion;
  readonly entry_point?: string;
  readonly entries: readonly {
    path: string;
    type: "file" | "symlink" | "directory";
    content?: string;
    repeat?: number;
    executable?: boolean;
    target?: string;
  }[];
  readonly tree: string;
  readonly layers: readonly { folder: string | null; slice?: Slice; digest: Digest; size: number }[];
  readonly image_digest: string;
}

const vectors = JSON.parse(readFileSync("test/golden/image-vectors.json", "utf8")) as readonly Vector[];

function build(vector: Vector): { tree: string; layers: Vector["layers"]; image_digest: string } {
  const contents = new Map<string, Buffer>();
  const entries = vector.entries
    .map((entry): TreeEntry => {
      if (entry.type === "directory") return { type: "directory", path: entry.path };
      if (entry.type === "symlink") return { type: "symlink", path: entry.path, target: entry.target ?? "" };
      const bytes = Buffer.from((entry.content ?? "").repeat(entry.repeat ?? 1));
      const digest = digestOf(bytes);
      contents.set(digest, bytes);
      return {
        type: "file",
        path: entry.path,
        executable: entry.executable === true,
        digest,
        size: bytes.byteLength,
      };
    })
    .sort((a, b) => comparePaths(a.path, b.path));
  const layers = splitTree(entries, vector.recipe_version).map((part) => {
    const pieces = [...layerPieces(part.entries)].map((piece) =>
      piece.kind === "bytes" ? piece.bytes : (contents.get(piece.digest) ?? assert.fail()),
    );
    const bytes = Buffer.concat(pieces);
    assert.equal(bytes.byteLength, layerSize(part.entries));
    const { folder = null, slice } = part;
    const digest = digestOf(bytes);
    return { folder, ...(slice === undefined ? {} : { slice }), digest, size: bytes.byteLength };
  });
  const tree = treeDigest(entries);
  const image = composeImage(
    {
      recipe_version: vector.recipe_version,
      tree,
      platform: DEFAULT_PLATFORM,
      user: DEFAULT_USER,
      ...(vector.entry_point === undefined ? {} : { entry_point: vector.entry_point }),
    },
    layers.map(({ folder, ...layer }) => ({ ...layer, folder: folder ?? undefined })),
  );
  return { tree, layers, image_digest: image.manifest.digest };
}

test("there are image vectors for every recipe, all with layer encoder 1", () => {
  assert.equal(LAYER_ENCODER, 1);
  assert.equal(RECIPE_VERSION, RECIPE_VERSIONS.at(-1));
  for (const version of RECIPE_VERSIONS)
    assert.ok(vectors.filter(({ recipe_version }) => recipe_version === version).length >= 5);
});

for (const vector of vectors) {
  test(`image vector "${vector.name}" keeps its tree, layer and image digests`, () => {
    const { tree, layers, image_digest } = build(vector);
    assert.deepEqual(
      { tree, layers, image_digest },
      { tree: vector.tree, layers: vector.layers, image_digest: vector.image_digest },
    );
  });
}

test("the order of the source entries does not change the image", () => {
  const vector = vectors.find((candidate) => candidate.entries.length > 3) ?? assert.fail();
  assert.deepEqual(build({ ...vector, entries: [...vector.entries].reverse() }), build(vector));
});

test("a tree parses back to the entries that it encodes", () => {
  const entries: TreeEntry[] = [
    { type: "file", path: "a b", executable: true, digest: digestOf("x"), size: 1 },
    { type: "directory", path: "empty dir" },
    { type: "symlink", path: "l", target: "a b" },
    { type: "file", path: "z/ü", executable: false, digest: digestOf(""), size: 0 },
  ];
  assert.deepEqual(parseTree(encodeTree(entries)), entries);
});

test("paths sort by UTF-8 bytes where UTF-16 order differs", () => {
  const astral = "\u{1f600}";
  const privateUse = "\uffee";
  assert.ok(comparePaths(privateUse, astral) < 0, "U+FFEE sorts before U+1F600 in UTF-8");
  assert.ok(privateUse > astral, "and after it in UTF-16");
});

test("image_ref is the public name, org, project and image digest", () => {
  assert.equal(
    imageRef("farm.example:7421", "acme", "bot", digestOf("x")),
    `farm.example:7421/acme/bot@${digestOf("x")}`,
  );
});

test("a name that OCI layers use for deletions is refused", () => {
  const entry: TreeEntry = {
    type: "file",
    path: "a/.wh.b",
    executable: false,
    digest: digestOf("x"),
    size: 1,
  };
  assert.throws(() => splitTree([entry]), { code: "ARCHIVE_NAME_RESERVED" });
});

test("digests agree with an independent implementation of SHA-256", () => {
  for (const length of [0, 1, 55, 56, 64, 1_000, 100_000]) {
    const bytes = Buffer.alloc(length, "granary");
    assert.equal(digestOf(bytes), `sha256:${Buffer.from(sha256(bytes)).toString("hex")}`);
  }
});
