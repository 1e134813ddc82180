import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { encodeTree } from "../../proto/tree.ts";
import { openStore } from "../../store/store.ts";
import { TaskSlots } from "../../store/task-slots.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import {
  contentOf,
  openStoreFixture,
  putLayer,
  readStream,
  type StoreFixture,
  taskCell,
} from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const SIZES = [
  0,
  1,
  27,
  4096,
  1024 * 1024 - 64,
  1024 * 1024 - 63,
  3 * 1024 * 1024,
  LIMITS.packedBlobBytes,
  LIMITS.packedBlobBytes + 1,
];
const UNKNOWN = digestOf("nothing of the kind");

async function withStore(work: (fixture: StoreFixture) => Promise<void>): Promise<void> {
  const fixture = await openStoreFixture(tempFolder());
  try {
    await work(fixture);
  } finally {
    await fixture.close();
  }
}

/** The contract of the store, one sentence a test. */
describe("the store", () => {
  for (const size of SIZES) {
    it(`gives back a blob of ${size} bytes as it was put, also after a restart`, async () => {
      const dir = tempFolder();
      const content = contentOf(size, size);
      const first = await openStoreFixture(dir);
      const [digest = UNKNOWN] = await first.put(content);
      assert.equal(digest, digestOf(content));
      assert.deepEqual(await first.store.read(digest), content);
      await first.close();
      const second = await openStoreFixture(dir);
      assert.deepEqual(await second.store.read(digest), content);
      const kind = size > LIMITS.packedBlobBytes ? "big" : "packed";
      assert.deepEqual(second.store.stat(digest), { size, kind });
      assert.deepEqual((await readStream((await second.store.openContent(digest)).stream)).bytes, content);
      await second.close();
    });
  }

  it("shows nothing before it is committed", () =>
    withStore(async ({ store, task }) => {
      const writer = task();
      const digest = writer.putBlob(contentOf("hidden", 100));
      assert.equal(store.stat(digest), undefined);
      const batch = writer.finish();
      assert.equal(store.stat(digest), undefined);
      await store.commit(batch);
      assert.deepEqual(store.stat(digest), { size: 100, kind: "packed" });
    }));

  it("stores content once, within a task and across tasks", () =>
    withStore(async ({ store, task, put }) => {
      const content = contentOf("twice", 5000);
      const writer = task();
      assert.equal(writer.putBlob(content), writer.putBlob(Buffer.from(content)));
      const batch = writer.finish();
      assert.equal(batch.blobs.byteLength, 46);
      await store.commit(batch);
      await put(content);
      assert.equal(store.stats().blobs, 1);
      assert.equal(store.stats().deadBytes, 0);
    }));

  it("takes content in chunks of any size", () =>
    withStore(async ({ store, task }) => {
      const small = contentOf("chunks", 10_000);
      const big = contentOf("big chunks", LIMITS.packedBlobBytes + 3 * LIMITS.crcChunkBytes + 5);
      const writer = task();
      for (const [content, chunkBytes] of [
        [small, 77],
        [big, 1_000_003],
      ] as const) {
        const blob = writer.beginBlob(content.byteLength);
        for (let at = 0; at < content.byteLength; at += chunkBytes)
          blob.write(content.subarray(at, at + chunkBytes));
        assert.equal(blob.end(), digestOf(content));
        assert.deepEqual(writer.readBlob(digestOf(content)), content);
      }
      await store.commit(writer.finish());
      assert.deepEqual(await store.read(digestOf(small)), small);
      assert.deepEqual(await store.read(digestOf(big)), big);
    }));

  it("refuses content that is shorter or longer than announced", () =>
    withStore(async ({ task }) => {
      for (const size of [10, LIMITS.packedBlobBytes + 10]) {
        const writer = task();
        const short = writer.beginBlob(size);
        short.write(contentOf(1, size - 1));
        assert.throws(() => short.end(), RangeError);
        writer.abandon();
        const again = task();
        assert.throws(() => {
          const long = again.beginBlob(size);
          long.write(contentOf(1, size + 1));
          long.end();
        }, RangeError);
        again.abandon();
      }
    }));

  it("leaves nothing of an abandoned task", () =>
    withStore(async ({ dir, store, task, put }) => {
      await put(contentOf("kept", 1000));
      const before = storeFiles(dir);
      const writer = task();
      for (let i = 0; i < 300; i++) writer.putBlob(contentOf(`gone ${i}`, 10_000));
      writer.putBlob(contentOf("gone big", LIMITS.packedBlobBytes + 1));
      const halfway = writer.beginBlob(LIMITS.packedBlobBytes + 2);
      halfway.write(contentOf("half", 2_000_000));
      assert.notDeepEqual(storeFiles(dir), before);
      writer.abandon();
      assert.deepEqual(storeFiles(dir), before);
      const digests = await put(contentOf("after", 1000), contentOf("gone 1", 10_000));
      for (const digest of digests) await store.read(digest);
      assert.deepEqual(await store.fsck(), {
        checked: 3,
        checkedBytes: 12_276,
        corrupt: [],
        misframed: [],
        wrongAccounts: [],
        brokenRoots: [],
        missing: [],
        orphaned: [],
        brokenRows: [],
        brokenSegments: [],
      });
    }));

  it("reads content of the running task, buffered or written", () =>
    withStore(async ({ task, put }) => {
      const [known = UNKNOWN] = await put(contentOf("known", 10));
      const writer = task();
      for (const size of [10, 5_000_000, 20]) {
        const content = contentOf(`own ${size}`, size);
        const digest = writer.putBlob(content);
        assert.ok(writer.has(digest));
        assert.deepEqual(writer.readBlob(digest), content);
      }
      assert.deepEqual(writer.readBlob(known), contentOf("known", 10));
      assert.equal(writer.has(UNKNOWN), false);
      assert.throws(() => writer.readBlob(UNKNOWN), { code: "BLOB_UNKNOWN" });
      writer.abandon();
    }));

  it("commits a batch twice without effect", () =>
    withStore(async ({ store, task }) => {
      const writer = task();
      writer.putBlob(contentOf("again", 100));
      const batch = writer.finish();
      await store.commit(batch);
      const before = store.stats();
      await store.commit(batch);
      assert.deepEqual({ ...store.stats(), diskBytes: 0 }, { ...before, diskBytes: 0 });
    }));

  it("says that unknown content is unknown", () =>
    withStore(async ({ store }) => {
      assert.equal(store.stat(UNKNOWN), undefined);
      await assert.rejects(store.read(UNKNOWN), { code: "BLOB_UNKNOWN" });
      await assert.rejects(store.openContent(UNKNOWN), { code: "BLOB_UNKNOWN" });
      await assert.rejects(store.readTree(UNKNOWN), { code: "BLOB_UNKNOWN" });
    }));

  it("remembers the layer of a subtree", async () => {
    const dir = tempFolder();
    const fixture = await openStoreFixture(dir);
    const layer = await putLayer(fixture, {
      "a.txt": contentOf("a", 100),
      "bin/run.sh": contentOf("b", 600),
    });
    const subtree = digestOf(encodeTree(layer.entries));
    assert.deepEqual(fixture.store.stat(layer.digest), { size: layer.bytes.byteLength, kind: "layer" });
    await fixture.close();
    const again = await openStoreFixture(dir);
    const writer = again.task();
    assert.deepEqual(writer.layer(subtree, 1), { digest: layer.digest, size: layer.bytes.byteLength });
    assert.equal(writer.layer(subtree, 2), undefined);
    const batch = writer.finish();
    assert.equal(batch.references.byteLength, 32, "the layer's listing is relied on");
    assert.deepEqual(await again.store.readTree(subtree), layer.entries);
    await again.close();
  });

  it("keeps an order: closing waits for commits that were made", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const commits = [];
    for (let i = 0; i < 20; i++) {
      const writer = fixture.task();
      writer.putBlob(contentOf(i, 100));
      commits.push(fixture.store.commit(writer.finish()));
    }
    await fixture.close();
    await Promise.all(commits);
    await assert.rejects(fixture.store.acquireLease("late", 1), { code: "UNAVAILABLE" });
  });

  it("refuses a store of another format", async () => {
    const dir = tempFolder();
    await (await openStoreFixture(dir)).close();
    fs.writeFileSync(join(dir, "format"), '{"format":2,"id":"x"}');
    await assert.rejects(openStore({ dir, log: () => undefined }), { code: "STORE_FORMAT" });
    fs.writeFileSync(join(dir, "format"), "granary");
    await assert.rejects(openStore({ dir, log: () => undefined }), { code: "STORE_FORMAT" });
  });

  it("cuts nothing of a thread that lives on: its next task is safe from the clean-up of the one before", () =>
    withStore(async ({ store, thread }) => {
      const cancelled = taskCell();
      const first = thread.beginTask(cancelled);
      for (let i = 0; i < 300; i++) first.putBlob(contentOf(`cancelled ${i}`, 10_000));
      first.abandon();
      const second = thread.beginTask(taskCell());
      const digests = Array.from({ length: 300 }, (_, i) => second.putBlob(contentOf(`kept ${i}`, 10_000)));
      const batch = second.finish();
      await store.reclaim(cancelled);
      await store.commit(batch);
      for (const digest of digests) await store.read(digest);
    }));

  it("lets GC wait for a task, whatever is cleaned up of one that never began or that ended by itself", () =>
    withStore(async ({ store, thread }) => {
      const slots = new TaskSlots(store.workerData().taskSlots);
      const cancelled = taskCell();
      thread.beginTask(cancelled).abandon();
      const running = taskCell();
      const writer = thread.beginTask(running);
      const { epoch } = writer;
      assert.equal(slots.oldestEpoch(), epoch);
      for (const cell of [taskCell(), cancelled]) await store.reclaim(cell);
      assert.equal(slots.oldestEpoch(), epoch);
      await store.reclaim(running);
      assert.equal(slots.oldestEpoch(), Number.POSITIVE_INFINITY, "as if its thread had died");
    }));

  it("hands a task's leftovers back when its thread died", () =>
    withStore(async ({ dir, store, thread, put }) => {
      await put(contentOf("before", 1000));
      const before = storeFiles(dir);
      const cell = taskCell();
      const writer = thread.beginTask(cell);
      for (let i = 0; i < 300; i++) writer.putBlob(contentOf(`dying ${i}`, 10_000));
      writer.putBlob(contentOf("dying big", LIMITS.packedBlobBytes + 1));
      await store.reclaim(cell);
      assert.deepEqual(storeFiles(dir), before);
    }));
});
