import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Digest, digestHex, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { openIndexForReading } from "../../store/index-db.ts";
import { META_KEY, ROW } from "../../store/index-keys.ts";
import { decodeMeta } from "../../store/index-rows.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { findInPacks, flipBit, storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, putLayer, readStream } from "../helpers/store-fixture.ts";
import { collect, putTree } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const ignore = () => undefined;
const BIG = contentOf("big", LIMITS.packedBlobBytes + 12_345);

/** In a blob's row: the day on which it first came, which the packs do not tell, and the crc of all. */
const DAY_AT = 18;

/** All rows of the index as text; leases, the epoch and days left out. */
async function dumpIndex(dir: string): Promise<string[]> {
  const index = openIndexForReading(join(dir, "index"));
  const dump = index
    .rows({ from: Buffer.of(0), to: Buffer.of(255), limit: Number.MAX_SAFE_INTEGER })
    .filter(({ key }) => key[0] !== ROW.lease)
    .map(({ key, value }) => {
      const text =
        key[0] === ROW.meta
          ? JSON.stringify({ ...decodeMeta(META_KEY, value), epoch: 0 })
          : (key[0] === ROW.blob ? value.subarray(0, DAY_AT) : value).toString("hex");
      return `${key.toString("hex")} ${text}`;
    });
  await index.close();
  return dump;
}

async function rebuild(dir: string): Promise<readonly string[]> {
  fs.rmSync(join(dir, "index"), { recursive: true });
  return (await rebuildIndex(dir, { log: ignore })).corrupt;
}

describe("a rebuilt index", () => {
  it("equals the one that was lost, layers and memos included", async () => {
    const dir = tempFolder();
    for (let run = 0; run < 3; run++) {
      const fixture = await openStoreFixture(dir);
      await fixture.put(
        ...Array.from({ length: 200 }, (_, i) => contentOf(`${run}.${i}`, 100 + 37 * i)),
        Buffer.alloc(0),
      );
      await putLayer(fixture, { [`a${run}`]: contentOf(run, 10), b: contentOf("b", 5000), big: BIG });
      await fixture.put(contentOf("again", 77));
      await fixture.close();
    }
    const before = await dumpIndex(dir);
    assert.ok(before.length > 600);
    assert.deepEqual(await rebuild(dir), []);
    assert.deepEqual(await dumpIndex(dir), before);
    const fixture = await openStoreFixture(dir);
    assert.deepEqual(await dumpIndex(dir), before, "and the store opens with it");
    await fixture.close();
  });

  it("has every layer's content", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const layer = await putLayer(first, { a: contentOf("a", 1000), big: BIG });
    await first.close();
    await rebuild(dir);
    const second = await openStoreFixture(dir);
    assert.deepEqual(
      (await readStream((await second.store.openContent(layer.digest)).stream)).bytes,
      layer.bytes,
    );
    await second.close();
  });

  it("keeps uploads that were accepted", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const upload = await first.store.openUpload("accepted");
    await upload.write(contentOf("upload", 1000));
    await upload.seal({ leaseMs: 3_600_000 });
    await first.close();
    await rebuild(dir);
    const second = await openStoreFixture(dir);
    assert.deepEqual(second.store.listUploads(), [{ id: "accepted", size: 1000 }]);
    assert.equal(second.store.leases().length, 1);
    await second.close();
  });

  it("takes no forged record for a real one", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const { digest: layerDigest } = await putLayer(first, { a: contentOf("a", 1000) });
    await first.close();
    // A publisher who has seen a whole segment publishes it as content, with a layer record changed in it.
    const forged = fs.readFileSync(join(dir, "packs", "00000001.pack"));
    const at = forged.indexOf(Buffer.from(digestHex(layerDigest), "hex"));
    assert.ok(at > 0);
    forged.fill(0xab, at, at + 32);
    const second = await openStoreFixture(dir);
    await second.put(forged, forged.subarray(64), contentOf("after", 10));
    const before = await dumpIndex(dir);
    await second.close();
    assert.deepEqual(await rebuild(dir), []);
    assert.deepEqual(await dumpIndex(dir), before);
  });

  it("equals the one of a store whose garbage was collected and whose segments were compacted, forged records and all", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const contents = Array.from({ length: 40 }, (_, i) => contentOf(`kept ${i}`, 10_000 + i));
    const kept = await putTree(first, contents);
    const { digest } = await putLayer(first, { a: contentOf("a", 1_000) });
    const subtree = first.store.listingOfLayer(digest) ?? digestOf("");
    for (let i = 0; i < 5; i++)
      await putTree(first, [contentOf(`gone ${i}`, LIMITS.gcRewriteDeadBytes / 2), BIG]);
    await first.close();
    const second = await openStoreFixture(dir);
    const forged = fs.readFileSync(join(dir, "packs", "00000001.pack")).subarray(0, 5_000_000);
    const copies = await putTree(second, [forged, forged.subarray(64)]);
    const result = await collect(second, [kept, copies, { tree: subtree }], { compactFully: true });
    assert.ok(result.deleted.bytes > BIG.byteLength && result.segments.rewritten > 0);
    assert.equal(second.store.stats().deadBytes, 0);
    const before = await dumpIndex(dir);
    await second.close();
    assert.deepEqual(await rebuild(dir), []);
    assert.deepEqual(await dumpIndex(dir), before);
    const third = await openStoreFixture(dir);
    assert.deepEqual(third.log, []);
    for (const file of [...kept.files, ...copies.files])
      assert.equal(digestOf(await third.store.read(file)), file);
    await third.close();
  });

  it("lacks only what was damaged, names it, and loses no evidence", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const contents = Array.from({ length: 20 }, (_, i) => contentOf(i, 1000));
    await first.put(...contents, BIG);
    await first.close();
    const payload = findInPacks(dir, contents[5] ?? Buffer.alloc(0));
    flipBit(payload.path, payload.offset + 10);
    const header = findInPacks(dir, contents[15] ?? Buffer.alloc(0));
    flipBit(header.path, header.offset - 20);
    const bigPath = join(dir, "big", digestHex(digestOf(BIG)).slice(0, 2), digestHex(digestOf(BIG)));
    flipBit(bigPath, 1_000_000);
    const tailStart = header.offset - 28;
    const corrupt = await rebuild(dir);
    assert.deepEqual(corrupt, [
      `00000001.pack@${payload.offset - 28}`,
      `00000001.pack@${tailStart}`,
      digestOf(BIG),
    ]);
    const second = await openStoreFixture(dir);
    const present = contents.map((content) => second.store.stat(digestOf(content)) !== undefined);
    assert.deepEqual(
      present.map((there, i) => (there ? -1 : i)).filter((i) => i >= 0),
      [5, 15, 16, 17, 18, 19],
    );
    const kept = [...storeFiles(dir).keys()].filter((name) => name.startsWith("quarantine/")).sort();
    assert.deepEqual(kept, [
      `quarantine/00000001.pack@${tailStart}`,
      `quarantine/${digestHex(digestOf(BIG))}`,
    ]);
    await second.put(...contents, BIG);
    for (const content of [...contents, BIG])
      assert.deepEqual(await second.store.read(digestOf(content)), content);
    await second.close();
  });

  it("serves a segment whose own header was damaged", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const [digest] = (await first.put(contentOf("x", 1000))) as [Digest];
    await first.close();
    flipBit(join(dir, "packs", "00000001.pack"), 3);
    assert.deepEqual(await rebuild(dir), ["00000001.pack"]);
    const second = await openStoreFixture(dir);
    assert.deepEqual(await second.store.read(digest), contentOf("x", 1000));
    await second.close();
  });
});
