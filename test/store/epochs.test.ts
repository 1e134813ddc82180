import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Digest, digestBytes, digestOf } from "../../proto/digest.ts";
import { openIndexForWriting } from "../../store/index-db.ts";
import { digestKey, META_KEY, ROW } from "../../store/index-keys.ts";
import { BLOB_STATE, encodeBlobRow, encodeMeta } from "../../store/index-rows.ts";
import { IndexView } from "../../store/index-view.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

/** What GC will do first: marks content under a new epoch. */
async function condemn(dir: string, digest: Digest): Promise<void> {
  const index = openIndexForWriting(join(dir, "index"));
  const view = new IndexView(index);
  index.transaction(() => {
    const row = view.blob(digest);
    assert.ok(row);
    const key = digestKey(ROW.blob, digest);
    index.put(key, encodeBlobRow(key, { ...row, state: BLOB_STATE.condemned }));
    const meta = view.meta();
    index.put(META_KEY, encodeMeta(META_KEY, { ...meta, epoch: meta.epoch + 1 }));
  });
  await index.close();
}

const CONTENT = contentOf("condemned", 1000);
const DIGEST = digestOf(CONTENT);

describe("condemned content", () => {
  it("counts as absent for look-ups, and is stored anew by a task that brings it", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(CONTENT);
    await first.close();
    await condemn(dir, DIGEST);
    const second = await openStoreFixture(dir);
    assert.equal(second.store.stat(DIGEST), undefined);
    const writer = second.task();
    assert.equal(writer.has(DIGEST), false);
    writer.abandon();
    await second.put(CONTENT);
    assert.deepEqual(await second.store.read(DIGEST), CONTENT);
    assert.deepEqual([second.store.stats().blobs, second.store.stats().deadBytes], [1, 1064]);
    await second.close();
  });

  it("is revived by the commit of a task that began before and relies on it", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(CONTENT);
    const writer = first.task();
    assert.ok(writer.has(DIGEST));
    const batch = writer.finish();
    await first.close();
    await condemn(dir, DIGEST);
    const second = await openStoreFixture(dir);
    assert.equal(second.store.stat(DIGEST), undefined);
    await second.store.commit(batch);
    assert.deepEqual(await second.store.read(DIGEST), CONTENT);
    await second.close();
  });

  it("that is gone already makes the task run again", async () => {
    const { store, task, put, close } = await openStoreFixture(tempFolder());
    await put(CONTENT);
    const writer = task();
    writer.putBlob(contentOf("new", 10));
    const batch = writer.finish();
    const gone = digestOf("gone");
    const references = Buffer.concat([digestBytes(DIGEST), digestBytes(gone)]);
    await assert.rejects(store.commit({ ...batch, references, epoch: batch.epoch - 1 }), {
      code: "UNAVAILABLE",
      detail: { missing: [gone], count: 1 },
    });
    assert.equal(store.stat(digestOf(contentOf("new", 10))), undefined);
    await close();
  });
});
