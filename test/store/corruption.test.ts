import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { digestHex, digestOf } from "../../proto/digest.ts";
import { LAYER_ENCODER, layerSize } from "../../proto/layers.ts";
import { LIMITS } from "../../proto/limits.ts";
import { encodeTree } from "../../proto/tree.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import {
  contentOf,
  openStoreFixture,
  putLayer,
  readStream,
  type StoreFixture,
} from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const HEADER_BYTES = 28;
const CONTENT = contentOf("victim", 5000);
const DIGEST = digestOf(CONTENT);
const BIG = contentOf("big victim", LIMITS.packedBlobBytes + 2 * LIMITS.crcChunkBytes + 9);
const BIG_DIGEST = digestOf(BIG);

async function withStore(work: (fixture: StoreFixture) => Promise<void>): Promise<void> {
  const fixture = await openStoreFixture(tempFolder());
  try {
    await fixture.put(contentOf("neighbour", 100), CONTENT, contentOf("other neighbour", 100), BIG);
    await work(fixture);
  } finally {
    await fixture.close();
  }
}

function bigPath({ dir }: StoreFixture): string {
  return join(dir, "big", digestHex(BIG_DIGEST).slice(0, 2), digestHex(BIG_DIGEST));
}

describe("a flipped bit", () => {
  for (const at of [0, 2500, 4999]) {
    it(`in byte ${at} of a payload is found by every way to read it`, () =>
      withStore(async (fixture) => {
        const { path, offset } = findInPacks(fixture.dir, CONTENT);
        flipBit(path, offset + at);
        const writer = fixture.task();
        assert.throws(() => writer.readBlob(DIGEST), { code: "STORE_CORRUPT", detail: { digest: DIGEST } });
        writer.abandon();
        const errors = await Promise.allSettled([
          fixture.store.read(DIGEST),
          fixture.store.openContent(DIGEST),
          fixture.store.openContent(DIGEST, { start: 10, end: 20 }),
        ]);
        const codes = errors.map((result) => result.status === "rejected" && result.reason.code);
        assert.equal(codes[0], "STORE_CORRUPT");
        // Who comes after the one that found it may be told that there is no such content any more.
        for (const code of codes) assert.match(String(code), /^(?:STORE_CORRUPT|BLOB_UNKNOWN)$/);
      }));
  }

  for (const [part, distance] of [
    ["the header's nonce", -HEADER_BYTES],
    ["the header's size", -HEADER_BYTES + 20],
    ["the header's crc", -1],
    ["the trailer's digest", CONTENT.length],
    ["the trailer's crc", CONTENT.length + 32],
  ] as const) {
    it(`in ${part} is reported and found by fsck, and the right content still served`, () =>
      withStore(async ({ dir, store, log }) => {
        const { path, offset } = findInPacks(dir, CONTENT);
        flipBit(path, offset + distance);
        assert.deepEqual(await store.read(DIGEST), CONTENT);
        const range = await store.openContent(DIGEST, { start: 10, end: 20 });
        assert.deepEqual((await readStream(range.stream)).bytes, CONTENT.subarray(10, 20));
        assert.equal(log.filter(({ data }) => data["digest"] === DIGEST).length, 1, "reported once");
        const result = await store.fsck();
        assert.deepEqual([result.corrupt, result.misframed, result.missing], [[], [DIGEST], []]);
        assert.notEqual(store.stat(DIGEST), undefined);
      }));
  }

  it("in a big file ends a full read before its last chunk, and a range read only where it touches", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      flipBit(bigPath(fixture), 3 * LIMITS.crcChunkBytes + 5);
      const before = await store.openContent(BIG_DIGEST, { start: 0, end: 3 * LIMITS.crcChunkBytes });
      assert.deepEqual((await readStream(before.stream)).bytes, BIG.subarray(0, 3 * LIMITS.crcChunkBytes));
      const full = await store.openContent(BIG_DIGEST);
      const { bytes, error } = await readStream(full.stream);
      assert.equal((error as { code?: string }).code, "STORE_CORRUPT");
      assert.ok(bytes.length <= 3 * LIMITS.crcChunkBytes);
    }));

  it("in a big file that has come again while it is read does not end the read", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      const path = bigPath(fixture);
      fs.writeFileSync(`${path}.again`, BIG);
      // Behind what a stream reads ahead.
      flipBit(path, 8 * LIMITS.crcChunkBytes + 5);
      const { stream } = await store.openContent(BIG_DIGEST);
      const chunks = stream[Symbol.asyncIterator]();
      const first = (await chunks.next()).value as Buffer;
      fs.renameSync(`${path}.again`, path);
      const rest: Buffer[] = [];
      for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) rest.push(chunk as Buffer);
      assert.ok(Buffer.concat([first, ...rest]).equals(BIG));
      assert.equal(store.damagedBlobs, 0);
    }));

  it("that no crc sees still never gets past a full read: the last chunk is withheld", () =>
    withStore(async ({ store, task }) => {
      // A layer row whose digest is not that of what its listing makes: the one mismatch that only the whole sha256 shows.
      const file = contentOf("file", 3 * LIMITS.crcChunkBytes);
      const writer = task();
      const entries = [
        { type: "file", path: "a", executable: false, digest: writer.putBlob(file), size: file.byteLength },
      ] as const;
      const subtree = writer.putBlob(encodeTree(entries));
      const wrong = digestOf("another layer");
      writer.addLayer({ digest: wrong, size: layerSize(entries), encoder: LAYER_ENCODER, subtree });
      await store.commit(writer.finish());
      const { bytes, error } = await readStream((await store.openContent(wrong)).stream);
      assert.equal((error as { code?: string }).code, "STORE_CORRUPT");
      assert.ok(bytes.length > 0 && bytes.length < layerSize(entries));
    }));
});

describe("corrupt content", () => {
  it("is not served again, counts as absent, and heals when it is put again", () =>
    withStore(async (fixture) => {
      const { store, put, task } = fixture;
      const { path, offset } = findInPacks(fixture.dir, CONTENT);
      flipBit(path, offset);
      await assert.rejects(store.read(DIGEST), { code: "STORE_CORRUPT" });
      await waitUntil("the content is marked", 5000, () => store.stat(DIGEST) === undefined);
      await assert.rejects(store.read(DIGEST), { code: "BLOB_UNKNOWN" });
      assert.equal(store.stats().damagedBlobs, 1);
      const writer = task();
      assert.equal(writer.has(DIGEST), false);
      writer.abandon();
      await put(CONTENT);
      assert.deepEqual(await store.read(DIGEST), CONTENT);
      assert.deepEqual([store.stats().damagedBlobs, store.stats().blobs], [0, 4]);
      assert.equal(store.stats().deadBytes, CONTENT.length + 64);
    }));

  it("in a big file is not served again and heals", () =>
    withStore(async (fixture) => {
      const { store, put } = fixture;
      flipBit(bigPath(fixture), 77);
      await assert.rejects(store.read(BIG_DIGEST), { code: "STORE_CORRUPT" });
      await waitUntil("the content is marked", 5000, () => store.stat(BIG_DIGEST) === undefined);
      await put(BIG);
      assert.deepEqual(await store.read(BIG_DIGEST), BIG);
      assert.equal(store.stats().bigFiles, 1);
    }));

  it("makes a task that relied on it run again", () =>
    withStore(async (fixture) => {
      const { store, task } = fixture;
      const writer = task();
      assert.ok(writer.has(DIGEST));
      writer.putBlob(contentOf("new", 100));
      const batch = writer.finish();
      const { path, offset } = findInPacks(fixture.dir, CONTENT);
      flipBit(path, offset);
      await assert.rejects(store.read(DIGEST));
      await waitUntil("the content is marked", 5000, () => store.stat(DIGEST) === undefined);
      await assert.rejects(store.commit(batch), (error: { code: string; detail: { missing: string[] } }) => {
        assert.deepEqual([error.code, error.detail.missing], ["UNAVAILABLE", [DIGEST]]);
        return true;
      });
      const again = task();
      again.putBlob(CONTENT);
      again.putBlob(contentOf("new", 100));
      await store.commit(again.finish());
      assert.deepEqual(await store.read(DIGEST), CONTENT);
    }));

  it("is found by fsck in all kinds of places at once, and marked", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      const layer = await putLayer(fixture, { a: contentOf("in layer", 300) });
      const { path, offset } = findInPacks(fixture.dir, contentOf("in layer", 300));
      flipBit(path, offset);
      fs.rmSync(bigPath(fixture));
      fs.mkdirSync(join(fixture.dir, "big", "00"), { recursive: true });
      const orphan = `00${"ab".repeat(31)}`;
      fs.writeFileSync(join(fixture.dir, "big", "00", orphan), "x");
      const victim = digestOf(contentOf("in layer", 300));
      const result = await store.fsck();
      assert.deepEqual(result.corrupt, [victim]);
      assert.deepEqual(result.missing, [BIG_DIGEST]);
      assert.deepEqual(result.orphaned, [`sha256:${orphan}`]);
      await waitUntil(
        "it is marked",
        5000,
        () => store.stat(victim) === undefined && store.stat(BIG_DIGEST) === undefined,
      );
      assert.deepEqual((await store.fsck()).missing, [BIG_DIGEST, layer.digest]);
      const parts = await Promise.all([0, 1, 2].map((part) => store.fsck({ subset: { part, of: 3 } })));
      assert.equal(
        parts.reduce((sum, { checked }) => sum + checked, 0),
        (await store.fsck()).checked,
      );
    }));

  it("ends a layer that contains it before its last chunk", () =>
    withStore(async (fixture) => {
      const files = Object.fromEntries(
        Array.from({ length: 50 }, (_, i) => [`f${i}`, contentOf(`layer ${i}`, 100_000)]),
      );
      const layer = await putLayer(fixture, files);
      const { path, offset } = findInPacks(fixture.dir, contentOf("layer 49", 100_000));
      flipBit(path, offset + 99_999);
      const { bytes, error } = await readStream((await fixture.store.openContent(layer.digest)).stream);
      assert.equal((error as { code?: string }).code, "STORE_CORRUPT");
      assert.ok(bytes.length < layer.bytes.length);
      await waitUntil(
        "it is marked",
        5000,
        () => fixture.store.stat(digestOf(contentOf("layer 49", 100_000))) === undefined,
      );
      await fixture.put(contentOf("layer 49", 100_000));
      const healed = await readStream((await fixture.store.openContent(layer.digest)).stream);
      assert.deepEqual(healed.bytes, layer.bytes);
    }));
});

describe("lost files", () => {
  it("of segments are named at start, and everything else stays readable", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(CONTENT);
    await first.close();
    const second = await openStoreFixture(dir);
    await second.put(contentOf("elsewhere", 3000));
    await second.close();
    fs.rmSync(join(dir, "packs", "00000001.pack"));
    const third = await openStoreFixture(dir);
    const [finding] = third.log;
    assert.match(finding?.message ?? "", /STORE_CORRUPT/);
    assert.deepEqual(finding?.data, { segment: "00000001.pack", sizeBytes: 0, lostBlobs: 1 });
    assert.equal(third.store.stat(DIGEST), undefined);
    assert.deepEqual(
      await third.store.read(digestOf(contentOf("elsewhere", 3000))),
      contentOf("elsewhere", 3000),
    );
    await third.put(CONTENT);
    assert.deepEqual(await third.store.read(DIGEST), CONTENT);
    await third.close();
    const fourth = await openStoreFixture(dir);
    assert.deepEqual(fourth.log, [], "said once");
    await fourth.close();
  });

  it("or their tails are named at start, and what lies before stays readable", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(CONTENT, contentOf("tail", 3000));
    await first.close();
    const path = join(dir, "packs", "00000001.pack");
    fs.truncateSync(path, fs.statSync(path).size - 1);
    const second = await openStoreFixture(dir);
    assert.equal(second.log[0]?.data["lostBlobs"], 1);
    assert.deepEqual(await second.store.read(DIGEST), CONTENT);
    assert.equal(second.store.stat(digestOf(contentOf("tail", 3000))), undefined);
    await second.put(contentOf("tail", 3000));
    assert.equal(second.store.stats().damagedBlobs, 0);
    await second.close();
    const third = await openStoreFixture(dir);
    assert.deepEqual(third.log, []);
    assert.deepEqual((await third.store.fsck()).missing, []);
    await third.close();
  });

  it("of big blobs are named at start", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(BIG);
    await first.close();
    fs.truncateSync(bigPath(first), 100);
    const second = await openStoreFixture(dir);
    assert.deepEqual(second.log[0]?.data, { digest: BIG_DIGEST });
    assert.equal(second.store.stat(BIG_DIGEST), undefined);
    await second.put(BIG);
    assert.deepEqual(await second.store.read(BIG_DIGEST), BIG);
    await second.close();
  });

  it("with only the segment's header damaged are reported, and their content stays readable", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    await first.put(CONTENT);
    await first.close();
    flipBit(join(dir, "packs", "00000001.pack"), 20);
    const second = await openStoreFixture(dir);
    assert.equal(second.log[0]?.data["segment"], "00000001.pack");
    assert.deepEqual(await second.store.read(DIGEST), CONTENT);
    await second.close();
  });
});
