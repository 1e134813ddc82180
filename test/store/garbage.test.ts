import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { parseName } from "../../proto/names.ts";
import { encodeTree, parseTree } from "../../proto/tree.ts";
import { encodeSessionHead } from "../../proto/upload-session.ts";
import { injectFault } from "../../store/fs.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import type { Store } from "../../store/store.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { findInPacks, flipBit, storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, putLayer, readStream, taskCell } from "../helpers/store-fixture.ts";
import { collect, contentBytes, putTree, writeTree } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const BIG = LIMITS.packedBlobBytes + 1;
const HOUR_MS = 3_600_000;

async function assertSound(store: Store): Promise<void> {
  const { corrupt, missing, misframed, orphaned, wrongAccounts } = await store.fsck();
  assert.deepEqual(
    { corrupt, missing, misframed, orphaned, wrongAccounts },
    { corrupt: [], missing: [], misframed: [], orphaned: [], wrongAccounts: [] },
  );
}

async function assertThere(store: Store, digests: readonly Digest[]): Promise<void> {
  for (const digest of digests) assert.equal(digestOf(await store.read(digest)), digest);
}

function assertGone(store: Store, digests: readonly Digest[]): void {
  for (const digest of digests) assert.equal(store.stat(digest), undefined, digest);
}

describe("garbage collection", () => {
  it("keeps what roots name and what they list, and gives the rest back to the disk", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const shared = contentOf("shared", 100_000);
    const kept = await putTree(fixture, [shared, contentOf("a", 50_000), contentOf("big", BIG)]);
    const gone = await putTree(fixture, [shared, contentOf("b", 3_000_000), contentOf("big2", BIG)]);
    const before = contentBytes(dir);
    const foretold = await collect(fixture, [kept], { dryRun: true });
    assert.equal(contentBytes(dir), before);
    await assertThere(store, gone.files);
    const result = await collect(fixture, [kept]);
    assert.deepEqual([foretold.condemned, foretold.deleted], [result.condemned, result.deleted]);
    assert.deepEqual(result.deleted, result.condemned);
    assert.deepEqual([result.condemned.blobs, result.kept.blobs, result.waiting.blobs], [3, 4, 0]);
    assert.equal(foretold.reclaimableBytes, result.deleted.bytes);
    await assertThere(store, [kept.tree, ...kept.files]);
    assertGone(store, [gone.tree, ...gone.files.slice(1)]);
    assert.equal(before - contentBytes(dir), result.reclaimedBytes);
    // The records and the big file, less the header of the segment that the survivors went to.
    assert.equal(result.reclaimedBytes, foretold.reclaimableBytes);
    assert.equal(result.reclaimableBytes, 0);
    await assertSound(store);
    await fixture.close();
    const again = await openStoreFixture(dir);
    assert.deepEqual(again.log, []);
    await assertThere(again.store, [kept.tree, ...kept.files]);
    await again.close();
  });

  it("waits out the undo period, which a restart does not shorten, and takes it back when the content is named again", async () => {
    const dir = tempFolder();
    let nowMs = Date.now();
    const now = () => nowMs;
    const first = await openStoreFixture(dir, { now });
    const [a, b] = [
      await putTree(first, [contentOf("a", 1000)]),
      await putTree(first, [contentOf("b", 2000)]),
    ];
    const run = await collect(first, [], { graceMs: HOUR_MS });
    assert.deepEqual([run.condemned.blobs, run.deleted.blobs, run.waiting.blobs], [4, 0, 4]);
    assertGone(first.store, [a.tree, b.tree]);
    await first.close();
    nowMs += HOUR_MS / 2;
    const second = await openStoreFixture(dir, { now });
    const undone = await collect(second, [a], { graceMs: HOUR_MS });
    assert.deepEqual([undone.revived.blobs, undone.deleted.blobs, undone.waiting.blobs], [2, 0, 2]);
    await assertThere(second.store, [a.tree, ...a.files]);
    nowMs += HOUR_MS / 2 + 1;
    const last = await collect(second, [a], { graceMs: HOUR_MS });
    assert.deepEqual([last.deleted.blobs, last.waiting.blobs], [2, 0]);
    await assertThere(second.store, [a.tree, ...a.files]);
    await assertSound(second.store);
    await second.close();
  });

  it("leaves alone what is committed for a publish until its lease ends, and what is committed while it looks", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store } = fixture;
    const old = await putTree(fixture, [contentOf("old", 1000)]);
    const held = await putTree(fixture, [contentOf("old", 1000), contentOf("new", 1000)], { heldBy: "p1" });
    const [ofHeld, ofOld] = [await store.fateOf(held.tree), await store.fateOf(old.tree)];
    assert.deepEqual([ofHeld.heldBy, ofOld.heldBy], [["p1"], []]);
    const first = await collect(fixture, []);
    assert.deepEqual([first.condemned.blobs], [1], "the old listing alone");
    await assertThere(store, [held.tree, ...held.files]);
    assertGone(store, [old.tree]);
    let young: Awaited<ReturnType<typeof putTree>> | undefined;
    await store.collectGarbage({
      graceMs: 0,
      roots: async () => {
        young = await putTree(fixture, [contentOf("young", 10)]);
        await store.releaseLease("p1");
        return [];
      },
    });
    await assertThere(store, [held.tree, ...held.files, young?.tree ?? held.tree]);
    const last = await collect(fixture, []);
    assert.equal(last.deleted.blobs, 5);
    assertGone(store, [held.tree, ...held.files]);
    await fixture.close();
  });

  it("keeps what an upload session was told is present", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store } = fixture;
    const content = contentOf("promised", 1000);
    const { tree, files } = await putTree(fixture, [content, contentOf("p2", 20)]);
    const listing = await store.read(tree);
    assert.equal(parseTree(listing).length, 2);
    const id = "upl_0123456789abcdefghjkmnpqrs";
    const upload = await store.openUpload(id);
    const session = {
      v: 1 as const,
      org: parseName("oo", "org"),
      project: parseName("pp", "project"),
      tree,
      missing_blobs: 0,
      missing_bytes: 0,
      expires_at: "",
      stats: { new_blobs: 0, new_blob_bytes: 0, reused_blobs: 2, reused_blob_bytes: 1020 },
      warnings: [],
    };
    await upload.write(encodeSessionHead(session, []));
    await upload.write(listing);
    await upload.seal({ leaseMs: HOUR_MS });
    await collect(fixture, []);
    await assertThere(store, files);
    assertGone(store, [tree]);
    await store.removeUpload(id);
    await collect(fixture, []);
    assertGone(store, files);
    await fixture.close();
  });

  it("keeps a layer with its listing, deletes it with it, and computes it again for the next publish", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store } = fixture;
    const files = { "a.txt": contentOf("a", 1000), "b/c.sh": contentOf("c", 70_000) };
    const layer = await putLayer(fixture, files);
    await putTree(fixture, [contentOf("other", 200_000)]);
    await store.collectGarbage({ roots: () => [{ digest: layer.digest, kind: "layer" }], graceMs: 0 });
    assert.deepEqual((await readStream((await store.openContent(layer.digest)).stream)).bytes, layer.bytes);
    assert.equal(store.stats().layers, 1);
    await assertSound(store);
    await collect(fixture, []);
    assert.deepEqual([store.stats().layers, store.stats().blobs, store.stats().packBytes], [0, 0, 0]);
    assert.equal(store.stat(layer.digest), undefined);
    await putLayer(fixture, files);
    assert.deepEqual((await readStream((await store.openContent(layer.digest)).stream)).bytes, layer.bytes);
    await fixture.close();
  });

  it("has a layer recorded anew by a task that brings its condemned listing again", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store } = fixture;
    const files = { "a.txt": contentOf("a", 1000) };
    const layer = await putLayer(fixture, files);
    await collect(fixture, [], { graceMs: HOUR_MS });
    const writer = fixture.task();
    writer.putBlob(files["a.txt"]);
    const subtree = writer.putBlob(encodeTree(layer.entries));
    assert.equal(writer.layer(subtree, 1), undefined);
    writer.addLayer({ digest: layer.digest, size: layer.bytes.length, encoder: 1, subtree });
    const batch = writer.finish();
    await collect(fixture, []);
    assert.equal(store.stats().layers, 0);
    await store.commit(batch);
    assert.deepEqual((await readStream((await store.openContent(layer.digest)).stream)).bytes, layer.bytes);
    await assertSound(store);
    await fixture.close();
  });

  it("leaves content to a stream that began before it was condemned, and to a task", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store } = fixture;
    const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`f${i}`, contentOf(i, 1_500_000)]));
    const layer = await putLayer(fixture, files);
    const { stream } = await store.openContent(layer.digest);
    const first = await collect(fixture, [], { graceMs: 1 });
    assert.deepEqual([first.condemned.blobs, first.deleted.blobs], [9, 0]);
    const second = await collect(fixture, [], { graceMs: 1 });
    assert.deepEqual([second.deleted.blobs, second.waiting.blobs], [0, 9]);
    const read = await readStream(stream);
    assert.ok(read.bytes.equals(layer.bytes), String(read.error));
    const third = await collect(fixture, [], { graceMs: 1 });
    assert.equal(third.deleted.blobs, 9);
    const [digest] = await fixture.put(contentOf("x", 1000));
    const writer = fixture.task();
    assert.ok(writer.has(digest as Digest));
    const hasty = { graceMs: 1, patienceMs: 20 };
    await collect(fixture, [], hasty);
    assert.equal((await collect(fixture, [], hasty)).deleted.blobs, 0);
    const bytes = Buffer.alloc(1000);
    writer.copyBlob({ digest: digest as Digest, size: 1000 }, bytes, 0);
    assert.deepEqual(bytes, contentOf("x", 1000));
    await store.commit(writer.finish());
    await assertThere(store, [digest as Digest]);
    await fixture.close();
  });

  it("makes a task run again whose content went between its end and its commit", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const [digest] = await fixture.put(contentOf("x", 1000));
    const writer = fixture.task();
    assert.ok(writer.has(digest as Digest));
    const batch = writer.finish();
    await collect(fixture, []);
    await assert.rejects(fixture.store.commit(batch), { code: "UNAVAILABLE" });
    await fixture.close();
  });

  it("takes a segment from an idle thread, never from one in a task, and no id is used twice", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const other = openThreadStore(store.workerData());
    await putTree(fixture, [contentOf("idle", 500_000)]);
    const first = other.beginTask(taskCell());
    writeTree(first, [contentOf("busy", 600_000)]);
    await store.commit(first.finish());
    const running = other.beginTask(taskCell());
    await collect(fixture, [], { patienceMs: 20 });
    const { tree } = writeTree(running, [contentOf("late", 10)]);
    await store.commit(running.finish());
    await assertThere(store, [tree]);
    assert.ok(storeFiles(dir).has("packs/00000002.pack"));
    await collect(fixture, [{ tree }]);
    const kept = await putTree(fixture, [contentOf("next", 10)]);
    await collect(fixture, [kept]);
    const names = [...storeFiles(dir).keys()];
    assert.ok(names.length > 0 && names.every((name) => name > "packs/00000002.pack"), names.join());
    await assertThere(store, [kept.tree]);
    await assertSound(store);
    await other.close();
    await fixture.close();
  });

  it("keeps the accounts within 1 % of what du says, through publishing, deleting and compacting", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const upload = await store.openUpload("u1");
    await upload.write(contentOf("u", 300_000));
    await upload.seal({ leaseMs: HOUR_MS });
    const trees = [];
    for (let i = 0; i < 12; i++) {
      const contents = [
        contentOf(`a${i}`, 400_000 + i),
        contentOf(`s${i % 3}`, 9_000),
        contentOf(`t${i}`, 100),
      ];
      trees.push(await putTree(fixture, i % 5 === 0 ? [...contents, contentOf(`b${i}`, BIG + i)] : contents));
    }
    for (const kept of [trees.slice(3), trees.slice(9), trees.slice(11)]) {
      await collect(fixture, kept);
      const { packBytes, bigBytes, inboxBytes } = store.stats();
      const actual = contentBytes(dir);
      assert.ok(
        Math.abs(packBytes + bigBytes + inboxBytes - actual) <= actual / 100,
        `${packBytes + bigBytes} ${actual}`,
      );
    }
    await assertSound(store);
    await fixture.close();
  });

  it("is rebuilt from the packs with everything that was kept, also with copies of records in two segments", async () => {
    const dir = tempFolder();
    const fixture = await openStoreFixture(dir);
    const layer = await putLayer(fixture, { a: contentOf("a", 1000), b: contentOf("b", 2000) });
    const kept = await putTree(fixture, [contentOf("a", 1000), contentOf("k", 5000)]);
    await putTree(fixture, [contentOf("gone", 400_000)]);
    const copy = join(tempFolder(), "old.pack");
    fs.copyFileSync(join(dir, "packs/00000001.pack"), copy);
    await fixture.store.collectGarbage({
      roots: () => [
        { digest: kept.tree, kind: "tree" },
        { digest: layer.digest, kind: "layer" },
      ],
      graceMs: 0,
    });
    await fixture.close();
    assert.deepEqual([...storeFiles(dir).keys()], ["packs/00000002.pack"]);
    fs.copyFileSync(copy, join(dir, "packs/00000001.pack"));
    const rebuilt = await rebuildIndex(dir, { log: () => undefined });
    assert.deepEqual(rebuilt.corrupt, []);
    const again = await openStoreFixture(dir);
    await assertThere(again.store, [kept.tree, ...kept.files]);
    assert.deepEqual(
      (await readStream((await again.store.openContent(layer.digest)).stream)).bytes,
      layer.bytes,
    );
    await assertSound(again.store);
    await collect(again, [kept]);
    await assertThere(again.store, [kept.tree, ...kept.files]);
    await assertSound(again.store);
    await again.close();
  });

  it("leaves a mostly dead segment alone when a record in it is damaged, so that fsck can tell of it", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const kept = await putTree(fixture, [contentOf("k1", 5000), contentOf("k2", 5000)]);
    await putTree(fixture, [contentOf("gone", 400_000)]);
    const { path, offset } = findInPacks(dir, contentOf("k1", 5000));
    flipBit(path, offset + 9);
    const result = await collect(fixture, [kept]);
    assert.deepEqual(result.segments, { dropped: 0, rewritten: 0 });
    await assertThere(store, [kept.tree, kept.files[1] as Digest]);
    assert.deepEqual((await store.fsck()).corrupt, [kept.files[0]]);
    await fixture.close();
  });

  it("survives a disk that is full, and one that will not delete", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { store, dir } = fixture;
    const kept = await putTree(fixture, [contentOf("k", 5000)]);
    await putTree(fixture, [contentOf("gone", 400_000), contentOf("big", BIG)]);
    const { fsCells } = store.workerData();
    injectFault(fsCells, { op: "big.unlink", errno: "EIO" });
    injectFault(fsCells, { op: "segment.write", errno: "ENOSPC" });
    await assert.rejects(collect(fixture, [kept]), { code: "STORE_FULL" });
    assert.equal(store.failed, undefined);
    await assertThere(store, [kept.tree, ...kept.files]);
    injectFault(fsCells, { op: "segment.unlink", errno: "EIO" });
    await collect(fixture, [kept]);
    await assertThere(store, [kept.tree, ...kept.files]);
    await fixture.close();
    const again = await openStoreFixture(dir);
    await assertThere(again.store, [kept.tree, ...kept.files]);
    await assertSound(again.store);
    assert.equal(contentBytes(dir), again.store.stats().packBytes, "what could not be deleted is gone now");
    await again.close();
  });

  it("runs once at a time, ends when it is told to, and with the store", async () => {
    const fixture = await openStoreFixture(tempFolder());
    await putTree(fixture, [contentOf("x", 10)]);
    void collect(fixture, []);
    await assert.rejects(collect(fixture, []), { code: "STATE_CONFLICT" });
    await fixture.store.collectionEnded();
    await collect(fixture, []);
    await putTree(fixture, [contentOf("y", 10)]);
    await assert.rejects(collect(fixture, [], { signal: AbortSignal.abort() }), { code: "CANCELLED" });
    await assert.rejects(
      fixture.store.collectGarbage({
        graceMs: 0,
        roots: () => {
          throw new Error("no projection");
        },
      }),
      /no projection/,
    );
    assert.equal(fixture.store.stats().blobs, 2);
    const last = assert.rejects(collect(fixture, []), { code: "CANCELLED" });
    await fixture.close();
    await last;
  });
});
