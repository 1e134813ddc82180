import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LAYER_ENCODER, layerSize } from "../../proto/layers.ts";
import { parseName } from "../../proto/names.ts";
import { splitTree } from "../../proto/split-tree.ts";
import { encodeTree, type TreeEntry } from "../../proto/tree.ts";
import { encodeSessionHead } from "../../proto/upload-session.ts";
import type { ListedArtifact } from "../../store/heal-listings.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, type StoreFixture } from "../helpers/store-fixture.ts";
import { collect, putTree } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const DAY_MS = 24 * 3_600_000;

async function withStore(
  work: (fixture: StoreFixture, clock: { nowMs: number }) => Promise<void>,
): Promise<void> {
  const clock = { nowMs: Date.parse("2026-11-21T12:00:00Z") };
  const fixture = await openStoreFixture(tempFolder(), { now: () => clock.nowMs });
  try {
    await work(fixture, clock);
  } finally {
    await fixture.close();
  }
}

/** A tree with a dependency folder, hence of two layers, as a publish stores it. */
async function putArtifact(
  { task, store }: StoreFixture,
  name: string,
): Promise<{ artifact: ListedArtifact; subtrees: Digest[]; files: Digest[] }> {
  const writer = task();
  const files: Digest[] = [];
  const entries: TreeEntry[] = ["app.js", "node_modules/dep/index.js"].map((path) => {
    const content = contentOf(`${name} ${path}`, 5_000);
    files.push(writer.putBlob(content));
    return { type: "file", path, executable: false, digest: digestOf(content), size: 5_000 };
  });
  const tree = writer.putBlob(encodeTree(entries));
  const layers: { digest: Digest; size: number }[] = [];
  const subtrees: Digest[] = [];
  for (const { entries: part } of splitTree(entries)) {
    const subtree = writer.putBlob(encodeTree(part));
    const layer = { digest: digestOf(`layer of ${subtree}`), size: layerSize(part) };
    writer.addLayer({ ...layer, encoder: LAYER_ENCODER, subtree });
    layers.push(layer);
    subtrees.push(subtree);
  }
  await store.commit(writer.finish());
  return { artifact: { tree, layers, recipe: 2 }, subtrees, files };
}

async function damage({ store, dir }: StoreFixture, digest: Digest): Promise<void> {
  const { path, offset } = findInPacks(dir, await store.read(digest));
  flipBit(path, offset + 20);
}

/** A run whose roots are artifacts, which were ready when the clock says. */
function collectFor(fixture: StoreFixture, artifacts: readonly ListedArtifact[], readyMs: number) {
  return collect(fixture, [], {
    roots: () =>
      artifacts.flatMap(({ tree, layers }) => [
        ...layers.map(({ digest }) => ({ digest, kind: "layer" as const })),
        { digest: tree, kind: "tree" as const },
      ]),
    artifactsNaming: async () => artifacts.map((artifact) => ({ ...artifact, readyMs })),
  });
}

describe("damaged listings", () => {
  it("are made anew from each other: a tree from its layers' listings, those from the tree", () =>
    withStore(async (fixture, clock) => {
      const { store } = fixture;
      const { artifact, subtrees, files } = await putArtifact(fixture, "kept");
      const listings = [[artifact.tree], [subtrees[0]], subtrees] as Digest[][];
      for (const [round, damaged] of listings.entries()) {
        const gone = await putTree(fixture, [contentOf(`gone ${round}`, 9_000)]);
        for (const digest of damaged) await damage(fixture, digest);
        const run = await collectFor(fixture, [artifact], clock.nowMs);
        assert.deepEqual([run.damaged, run.heldBack.blobs, run.deleted.blobs], [[], 0, 2]);
        assert.equal(store.stat(gone.tree), undefined);
        for (const digest of [artifact.tree, ...subtrees, ...files])
          assert.equal(digestOf(await store.read(digest)), digest);
      }
      assert.deepEqual((await store.fsck()).corrupt, []);
    }));

  it("that nothing is left to make them from hold back what they may name, and not what came later", () =>
    withStore(async (fixture, clock) => {
      const { store } = fixture;
      const lost = await putTree(fixture, [
        contentOf("only it names this", 6_000),
        contentOf("this too", 6_000),
      ]);
      const artifact: ListedArtifact = { tree: lost.tree, layers: [], recipe: 2 };
      const readyMs = clock.nowMs;
      const old = await putTree(fixture, [contentOf("old garbage", 6_000)]);
      clock.nowMs += 3 * DAY_MS;
      const young = await putTree(fixture, [contentOf("young garbage", 6_000)]);
      await damage(fixture, lost.tree);
      // Content that it names may be damaged as well: forgotten, it would look young when it comes again.
      await damage(fixture, lost.files[0] as Digest);
      await assert.rejects(store.read(lost.files[0] as Digest), { code: "STORE_CORRUPT" });
      await assert.rejects(collect(fixture, [lost]), {
        code: "STORE_CORRUPT",
        detail: { digest: lost.tree },
      });
      await assert.rejects(
        collect(fixture, [lost], { artifactsNaming: async () => [] }),
        { code: "STORE_CORRUPT" },
        "of what nobody knows nothing can be said",
      );
      for (let run = 0; run < 2; run++) {
        const result = await collectFor(fixture, [artifact], readyMs);
        assert.deepEqual(result.damaged, [lost.tree]);
        assert.deepEqual([result.deleted.blobs, result.heldBack.blobs], [run === 0 ? 2 : 0, 4]);
      }
      assert.equal(store.stat(young.tree), undefined);
      await putTree(fixture, [contentOf("only it names this", 6_000)]);
      await collectFor(fixture, [artifact], readyMs);
      for (const digest of [...lost.files, old.tree, ...old.files])
        assert.equal(digestOf(await store.read(digest)), digest);

      await putTree(fixture, [contentOf("only it names this", 6_000), contentOf("this too", 6_000)]);
      const healed = await collectFor(fixture, [artifact], readyMs);
      assert.deepEqual([healed.damaged, healed.heldBack.blobs], [[], 0]);
      assert.equal(store.stat(old.tree), undefined);
      for (const digest of [lost.tree, ...lost.files])
        assert.equal(digestOf(await store.read(digest)), digest);
    }));

  it("of upload sessions hold back everything until the session is over", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      const planned = await putTree(fixture, [contentOf("planned", 6_000)]);
      const id = `upl_${"0".repeat(26)}`;
      const upload = await store.openUpload(id);
      await upload.write(
        encodeSessionHead(
          {
            v: 1,
            org: parseName("acme", "org"),
            project: parseName("bot", "project"),
            tree: planned.tree,
            missing_blobs: 0,
            missing_bytes: 0,
            expires_at: "2026-11-22T00:00:00Z",
            stats: { new_blobs: 0, new_blob_bytes: 0, reused_blobs: 1, reused_blob_bytes: 6_000 },
            warnings: [],
          },
          [],
        ),
      );
      await upload.write(await store.read(planned.tree));
      await upload.seal({ leaseMs: DAY_MS });
      const file = store.uploadPath(id);
      fs.writeFileSync(file, fs.readFileSync(file, "latin1").replace("granary-tree", "granary-tref"));
      const held = await collect(fixture, []);
      assert.deepEqual([held.heldBack.blobs, held.deleted.blobs], [2, 0]);
      await store.removeUpload(id);
      assert.equal((await collect(fixture, [])).deleted.blobs, 2);
    }));

  it("are made anew by a repair too, also where fsck alone has found them", () =>
    withStore(async (fixture, clock) => {
      const { artifact, subtrees } = await putArtifact(fixture, "repaired");
      await damage(fixture, subtrees[1] as Digest);
      const naming = async () => [{ ...artifact, readyMs: clock.nowMs }];
      const { repaired } = await fixture.store.fsck({ repair: true, artifactsNaming: naming });
      assert.deepEqual(repaired?.lost, []);
      assert.deepEqual((await fixture.store.fsck()).corrupt, []);
    }));
});
