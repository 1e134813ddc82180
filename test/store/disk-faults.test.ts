import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type FsOp, fsCallCount, injectFault } from "../../store/fs.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const SMALL = contentOf("small", 2_000_000);
const BIG = contentOf("big", LIMITS.packedBlobBytes + 1);

describe("a full disk", () => {
  for (const op of ["segment.open", "segment.write", "staging.open", "staging.write"] as const) {
    it(`at ${op} fails the task, leaves nothing of it, and the next one succeeds`, async () => {
      const { dir, store, task, put, close } = await openStoreFixture(tempFolder());
      await put(contentOf("before", 100));
      if (op === "segment.open") await close();
      const fixture = op === "segment.open" ? await openStoreFixture(dir) : { dir, store, task, put, close };
      const before = storeFiles(dir);
      injectFault(fixture.store.workerData().fsCells, { op, errno: "ENOSPC" });
      const writer = fixture.task();
      assert.throws(
        () => {
          writer.putBlob(SMALL);
          writer.putBlob(BIG);
        },
        { code: "STORE_FULL" },
      );
      writer.abandon();
      assert.deepEqual(storeFiles(dir), before);
      await fixture.put(SMALL, BIG);
      assert.deepEqual(await fixture.store.read(digestOf(SMALL)), SMALL);
      assert.deepEqual(await fixture.store.read(digestOf(BIG)), BIG);
      await fixture.close();
    });
  }

  for (const op of ["index.commit", "big.rename"] as const) {
    it(`at ${op} fails the commit, shows nothing of it, and a task that runs again succeeds`, async () => {
      const { dir, store, task, put, close } = await openStoreFixture(tempFolder());
      injectFault(store.workerData().fsCells, { op, errno: "ENOSPC" });
      const writer = task();
      writer.putBlob(SMALL);
      writer.putBlob(BIG);
      await assert.rejects(store.commit(writer.finish()), { code: "STORE_FULL" });
      assert.equal(store.stat(digestOf(SMALL)), undefined);
      assert.equal(store.stat(digestOf(BIG)), undefined);
      assert.deepEqual([...storeFiles(dir).keys()], ["packs/00000001.pack"], "no big file is left behind");
      assert.equal(store.failed, undefined);
      await put(SMALL, BIG);
      assert.deepEqual(await store.read(digestOf(BIG)), BIG);
      await close();
    });
  }
});

describe("an I/O error", () => {
  for (const op of ["segment.sync", "staging.sync", "folder.sync", "index.commit"] satisfies FsOp[]) {
    it(`at ${op} ends all writing for good; reading goes on, and a restart recovers`, async () => {
      const dir = tempFolder();
      const fixture = await openStoreFixture(dir);
      const { store, task, put, log } = fixture;
      const [known] = await put(contentOf("before", 100));
      assert.ok(known);
      const { fsCells } = store.workerData();
      const writer = task();
      writer.putBlob(SMALL);
      writer.putBlob(BIG);
      const batch = writer.finish();
      injectFault(fsCells, { op, errno: "EIO" });
      await assert.rejects(store.commit(batch), { code: "STORE_IO" });
      assert.equal(store.failed?.code, "STORE_IO");
      assert.equal(log.at(-1)?.level, "error");
      const calls = fsCallCount(fsCells, op);
      await assert.rejects(put(contentOf("later", 10)), { code: "STORE_IO" });
      await assert.rejects(store.acquireLease("l", 1), { code: "STORE_IO" });
      assert.equal(fsCallCount(fsCells, op), calls, "a sync is never tried again");
      assert.deepEqual(await store.read(known), contentOf("before", 100));
      await fixture.close();

      const again = await openStoreFixture(dir);
      assert.deepEqual(await again.store.read(known), contentOf("before", 100));
      assert.equal(again.store.stat(digestOf(SMALL)), undefined);
      await again.put(SMALL, BIG);
      assert.deepEqual(await again.store.read(digestOf(BIG)), BIG);
      const { corrupt, missing, orphaned } = await again.store.fsck();
      assert.deepEqual([corrupt, missing, orphaned], [[], [], []]);
      await again.close();
    });
  }

  it("while reading is an error of that read, not damage", async () => {
    const { store, put, close } = await openStoreFixture(tempFolder());
    const [digest] = await put(SMALL);
    assert.ok(digest);
    injectFault(store.workerData().fsCells, { op: "segment.read", errno: "EIO" });
    await assert.rejects(store.read(digest), { code: "STORE_IO" });
    assert.deepEqual(await store.read(digest), SMALL);
    assert.equal(store.stats().damagedBlobs, 0);
    await close();
  });
});

describe("group commit", () => {
  it("syncs and writes the index a few times for many commits at once", async () => {
    const { store, task, close } = await openStoreFixture(tempFolder());
    const { fsCells } = store.workerData();
    const batches = Array.from({ length: 100 }, (_, i) => {
      const writer = task();
      writer.putBlob(contentOf(`group ${i}`, 1000));
      return writer.finish();
    });
    await Promise.all(batches.map((batch) => store.commit(batch)));
    assert.ok(
      fsCallCount(fsCells, "segment.sync") <= 10,
      `${fsCallCount(fsCells, "segment.sync")} segment syncs`,
    );
    assert.ok(
      fsCallCount(fsCells, "index.commit") <= 10,
      `${fsCallCount(fsCells, "index.commit")} transactions`,
    );
    assert.equal(store.stats().blobs, 100);
    await close();
  });

  it("writes nothing for a batch that brings nothing new", async () => {
    const { store, put, close } = await openStoreFixture(tempFolder());
    const { fsCells } = store.workerData();
    await put(contentOf("once", 1000));
    const counts = () =>
      (["segment.sync", "folder.sync", "index.commit"] as const).map((op) => fsCallCount(fsCells, op));
    const before = counts();
    await put(contentOf("once", 1000));
    assert.deepEqual(counts(), before);
    await close();
  });

  it("refuses a batch whose staged file is gone, and only that one", async () => {
    const { store, task, close } = await openStoreFixture(tempFolder());
    const bad = task();
    bad.putBlob(BIG);
    const badBatch = bad.finish();
    await store.discard(badBatch);
    const good = task();
    good.putBlob(SMALL);
    const results = await Promise.allSettled([store.commit(badBatch), store.commit(good.finish())]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled"],
    );
    assert.equal(store.failed, undefined);
    assert.deepEqual(await store.read(digestOf(SMALL)), SMALL);
    await close();
  });
});
