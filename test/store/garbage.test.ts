import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { encodeTree, type TreeEntry } from "../../proto/tree.ts";
import type { GcOptions, GcRoot } from "../../store/collect-garbage.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, type StoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const BIG = LIMITS.packedBlobBytes + 1;

function collect(fixture: StoreFixture, roots: readonly GcRoot[], options: Partial<GcOptions> = {}) {
  return fixture.store.collectGarbage({ roots: () => roots, graceMs: 0, ...options });
}

async function putTree(
  fixture: StoreFixture,
  contents: readonly Buffer[],
): Promise<{ tree: Digest; files: Digest[] }> {
  const writer = fixture.task();
  const entries: TreeEntry[] = contents.map((content, at) => ({
    type: "file",
    path: `f${String(at).padStart(4, "0")}`,
    executable: false,
    digest: writer.putBlob(content),
    size: content.byteLength,
  }));
  const tree = writer.putBlob(encodeTree(entries));
  await fixture.store.commit(writer.finish());
  return { tree, files: contents.map((content) => digestOf(content)) };
}

function diskBytes(dir: string): number {
  return [...storeFiles(dir)].reduce((total, [, size]) => total + size, 0);
}

describe("garbage collection", () => {
  it("keeps what roots name and what they list, and gives the rest back to the disk", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const shared = contentOf("shared", 100_000);
    const kept = await putTree(fixture, [shared, contentOf("a", 50_000), contentOf("big", BIG)]);
    const gone = await putTree(fixture, [shared, contentOf("b", 3_000_000), contentOf("big2", BIG)]);
    const before = diskBytes(dir);
    const result = await collect(fixture, [{ digest: kept.tree, kind: "tree" }]);
    assert.equal(result.condemned.blobs, 3);
    assert.deepEqual(result.deleted, result.condemned);
    assert.equal(result.waiting.blobs, 0);
    assert.equal(result.kept.blobs, 4);
    for (const digest of [kept.tree, ...kept.files])
      assert.equal((await store.read(digest)).length > 0, true);
    for (const digest of [gone.tree, ...gone.files.slice(1)]) assert.equal(store.stat(digest), undefined);
    assert.equal(before - diskBytes(dir), result.reclaimedBytes);
    assert.ok(result.reclaimedBytes >= 3_000_000 + BIG);
    assert.equal(result.reclaimableBytes, 0);
    const { corrupt, missing, misframed, orphaned } = await store.fsck();
    assert.deepEqual([corrupt, missing, misframed, orphaned], [[], [], [], []]);
    await fixture.close();
    const again = await openStoreFixture(dir);
    assert.deepEqual(again.log, []);
    for (const digest of [kept.tree, ...kept.files]) await again.store.read(digest);
    await again.close();
  });
});
