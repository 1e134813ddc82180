import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Digest, digestHex, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { openIndexForWriting } from "../../store/index-db.ts";
import { META_KEY, segmentKey } from "../../store/index-keys.ts";
import { encodeMeta, encodeSegmentRow } from "../../store/index-rows.ts";
import { IndexView } from "../../store/index-view.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import {
  contentOf,
  openStoreFixture,
  putLayer,
  readStream,
  type StoreFixture,
} from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const HEADER_BYTES = 28;
const BIG = contentOf("big", LIMITS.packedBlobBytes + 99);
const BIG_DIGEST = digestOf(BIG);

async function withStore(work: (fixture: StoreFixture) => Promise<void>): Promise<void> {
  const fixture = await openStoreFixture(tempFolder());
  try {
    await work(fixture);
  } finally {
    await fixture.close();
  }
}

async function assertClean({ store }: StoreFixture): Promise<void> {
  const { checked: _, checkedBytes: __, ...found } = await store.fsck();
  for (const [kind, names] of Object.entries(found)) assert.deepEqual(names, [], kind);
}

describe("a repair", () => {
  it("of a clean store does nothing", () =>
    withStore(async (fixture) => {
      await putLayer(fixture, { a: contentOf("a", 500), big: BIG });
      const { repaired } = await fixture.store.fsck({ repair: true });
      assert.deepEqual(repaired, { reindexed: [], rewritten: [], removed: [], lost: [], corrected: [] });
    }));

  it("points a row to another record of the same content", () =>
    withStore(async (fixture) => {
      const { store, task, dir } = fixture;
      const content = contentOf("twice", 4_000);
      const batches = [0, 1].map(() => {
        const writer = task();
        writer.putBlob(content);
        return writer.finish();
      });
      for (const batch of batches) await store.commit(batch);
      const { path, offset } = findInPacks(dir, content);
      flipBit(path, offset + 17);
      const digest = digestOf(content);
      const { repaired, corrupt } = await store.fsck({ repair: true });
      assert.deepEqual(corrupt, [digest]);
      assert.deepEqual(repaired, {
        reindexed: [digest],
        rewritten: [],
        removed: [],
        lost: [],
        corrected: [],
      });
      assert.deepEqual(await store.read(digest), content);
      await assertClean(fixture);
    }));

  it("copies a segment whose records or header are damaged, so that a rebuild of the index loses nothing", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const contents = Array.from({ length: 20 }, (_, i) => contentOf(i, 1_000));
    await first.put(...contents);
    const layer = await putLayer(first, { a: contentOf("a", 700) });
    const places = contents.map((content) => findInPacks(dir, content));
    const pack = places[0]?.path ?? "";
    flipBit(pack, 20);
    flipBit(pack, (places[3]?.offset ?? 0) - HEADER_BYTES + 20);
    flipBit(pack, (places[9]?.offset ?? 0) + 1_000);
    flipBit(pack, fs.statSync(pack).size - 1);
    const { store } = first;
    const { repaired, misframed, brokenSegments, corrupt, missing } = await store.fsck({ repair: true });
    const named = [contents[3], contents[9]].map((content) => digestOf(content ?? ""));
    assert.deepEqual(new Set<string>(misframed), new Set<string>([...named, layer.digest]));
    assert.deepEqual([corrupt, missing, brokenSegments], [[], [], ["00000001.pack@0"]]);
    assert.deepEqual(repaired, { reindexed: [], rewritten: [1], removed: [], lost: [], corrected: [] });
    await assertClean(first);
    await first.close();
    fs.rmSync(join(dir, "index"), { recursive: true });
    await rebuildIndex(dir, { log: () => undefined });
    const second = await openStoreFixture(dir);
    for (const content of contents) assert.deepEqual(await second.store.read(digestOf(content)), content);
    const stream = (await second.store.openContent(layer.digest)).stream;
    assert.deepEqual((await readStream(stream)).bytes, layer.bytes);
    await second.close();
  });

  it("names content that is lost, takes it out of reach, and the next upload heals it", () =>
    withStore(async (fixture) => {
      const { store, put, dir } = fixture;
      const packed = contentOf("packed", 3_000);
      await put(packed, BIG);
      const { path, offset } = findInPacks(dir, packed);
      flipBit(path, offset);
      const bigFile = join(dir, "big", digestHex(BIG_DIGEST).slice(0, 2), digestHex(BIG_DIGEST));
      flipBit(bigFile, 1_000);
      const { repaired } = await store.fsck({ repair: true });
      const both = new Set<Digest>([digestOf(packed), BIG_DIGEST]);
      assert.deepEqual([new Set(repaired?.lost), repaired?.removed], [both, [BIG_DIGEST]]);
      assert.equal(fs.existsSync(bigFile), false);
      assert.equal(fs.statSync(join(dir, "quarantine", digestHex(BIG_DIGEST))).size, BIG.byteLength);
      for (const digest of both) await assert.rejects(store.read(digest), { code: "BLOB_UNKNOWN" });
      await put(packed, BIG);
      assert.deepEqual(await store.read(digestOf(packed)), packed);
      assert.deepEqual(await store.read(BIG_DIGEST), BIG);
      await assertClean(fixture);
    }));

  it("sets accounts right that say something else than the rows, also while publishes go on, and GC drops what they kept", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const [kept] = await first.put(contentOf("kept", 900), BIG);
    const before = first.store.stats();
    await first.close();
    const index = openIndexForWriting(join(dir, "index"));
    const view = new IndexView(index);
    index.transaction(() => {
      const row = view.segment(1);
      assert.ok(row);
      const tooMuch = { ...row, liveBytes: row.liveBytes + 4_000, liveRecords: row.liveRecords + 3 };
      index.put(segmentKey(1), encodeSegmentRow(segmentKey(1), tooMuch));
      const meta = view.meta();
      index.put(META_KEY, encodeMeta(META_KEY, { ...meta, bigBytes: 7, packedBlobs: meta.packedBlobs + 1 }));
    });
    await index.close();
    const second = await openStoreFixture(dir);
    const { store, put } = second;
    const { wrongAccounts, corrupt } = await store.fsck();
    assert.deepEqual([wrongAccounts, corrupt], [["00000001.pack", "packedBlobs", "bigBytes"], []]);
    const [repair] = await Promise.all([store.fsck({ repair: true }), put(contentOf("meanwhile", 800))]);
    assert.deepEqual(repair.repaired?.corrected, wrongAccounts);
    await assertClean(second);
    assert.deepEqual(
      [store.stats().blobs, store.stats().bigBytes],
      [before.blobs + 1, BIG.byteLength],
      "what came meanwhile counts",
    );
    assert.deepEqual(await store.read(kept ?? digestOf("")), contentOf("kept", 900));
    const { segments } = await store.collectGarbage({ roots: () => [], graceMs: 0 });
    assert.equal(segments.dropped, 2, "a segment is not held by records that it does not have");
    await second.close();
  });

  it("takes files that nothing names to quarantine, and cuts what lies behind a committed end", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const [digest] = await first.put(contentOf("kept", 900));
    await first.close();
    const second = await openStoreFixture(dir);
    const committed = join(dir, "packs", "00000001.pack");
    const { size } = fs.statSync(committed);
    fs.appendFileSync(committed, "torn");
    fs.writeFileSync(join(dir, "packs", "00000000.pack"), "nobody's");
    const stray = `00${"ab".repeat(31)}`;
    fs.writeFileSync(join(dir, "big", "00", stray), "x");
    const names = [`sha256:${stray}`, "00000000.pack", `00000001.pack@${size}`];
    const { repaired, orphaned } = await second.store.fsck({ repair: true });
    assert.deepEqual([new Set(orphaned), new Set(repaired?.removed)], [new Set(names), new Set(names)]);
    assert.deepEqual(fs.readdirSync(join(dir, "quarantine")).sort(), ["00000000.pack", stray]);
    assert.equal(fs.statSync(committed).size, size);
    assert.deepEqual(await second.store.read(digest ?? digestOf("")), contentOf("kept", 900));
    await assertClean(second);
    await second.close();
  });
});
