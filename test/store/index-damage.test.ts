import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { type Digest, digestBytes, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { FsckResult } from "../../store/fsck.ts";
import { openIndexForWriting } from "../../store/index-db.ts";
import { digestKey, leaseKey, META_KEY, ROW, segmentKey } from "../../store/index-keys.ts";
import { encodeMeta } from "../../store/index-rows.ts";
import { IndexView } from "../../store/index-view.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { openStore } from "../../store/store.ts";
import { checkByFsck } from "../helpers/bit-flips.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const ignore = () => undefined;

/** Whether there is nothing to be read in it: then a farm rebuilds it without being asked. */
const isUnreadable = (name: string): boolean => !["deleted", "emptied"].includes(name);

const DAMAGE: Record<string, (indexFile: string) => void> = {
  "truncated to a half": (file) => fs.truncateSync(file, Math.floor(fs.statSync(file).size / 8192) * 4096),
  "truncated to its meta pages": (file) => fs.truncateSync(file, 8192),
  "with a zeroed meta page": (file) => zero(file, 0, 4096),
  "with both meta pages zeroed": (file) => zero(file, 0, 8192),
  "zeroed behind its meta pages": (file) => zero(file, 8192, fs.statSync(file).size),
  deleted: (file) => fs.rmSync(file),
  emptied: (file) => fs.truncateSync(file, 0),
};

function zero(file: string, from: number, to: number): void {
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, Buffer.alloc(to - from), 0, to - from, from);
  fs.closeSync(fd);
}

/** What a bit that flips in a key takes out of sight. */
const OUT_OF_SIGHT: Record<string, (big: Digest) => Uint8Array> = {
  "a segment": () => segmentKey(1),
  "an upload's lease": () => leaseKey("upload"),
  "a big file": (big) => digestKey(ROW.blob, big),
  "a big file's checksums": (big) => digestKey(ROW.crcs, big),
};

/** As while a farm runs, where no start stands before it. */
async function checkClosed(dir: string): Promise<FsckResult> {
  const index = openIndexForWriting(join(dir, "index"));
  const result = checkByFsck({ dir, index });
  await index.close();
  return result;
}

describe("an index that", () => {
  const contents = Array.from({ length: 500 }, (_, i) => contentOf(i, 300));
  const whole = tempFolder();
  let digests: readonly Digest[] = [];
  before(async () => {
    const fixture = await openStoreFixture(whole);
    digests = await fixture.put(...contents);
    await fixture.close();
  });

  for (const [name, damage] of Object.entries(DAMAGE)) {
    it(`was ${name} is refused with a clear error, costs no content, and can be rebuilt`, async () => {
      const dir = tempFolder();
      fs.cpSync(whole, dir, { recursive: true });
      const files = storeFiles(dir);
      const indexFile = join(dir, "index", "index.mdb");
      damage(indexFile);
      // What a crash leaves: no mark of an orderly end.
      fs.rmSync(join(dir, "index", "closed"), { force: true });
      for (let attempt = 0; attempt < 2; attempt++) {
        await assert.rejects(openStore({ dir, log: ignore }), {
          code: "STORE_CORRUPT",
          detail: { rebuild: true, ...(isUnreadable(name) && { unreadable: true }) },
        });
      }
      assert.deepEqual(storeFiles(dir), files);
      await rebuildIndex(dir, { log: ignore });
      const second = await openStoreFixture(dir);
      for (const [i, digest] of digests.entries())
        assert.deepEqual(await second.store.read(digest), contents[i]);
      await second.close();
    });
  }

  it("was made for another store is refused", async () => {
    const [a, b] = [tempFolder(), tempFolder()];
    for (const dir of [a, b]) {
      const fixture = await openStoreFixture(dir);
      await fixture.put(contentOf(dir, 100));
      await fixture.close();
    }
    const files = storeFiles(a);
    fs.cpSync(join(b, "index"), join(a, "index"), { recursive: true });
    await assert.rejects(openStore({ dir: a, log: ignore }), { code: "STORE_CORRUPT" });
    assert.deepEqual(storeFiles(a), files);
  });

  for (const [row, keyOf] of Object.entries(OUT_OF_SIGHT))
    it(`lost the row of ${row} is refused before anything without a row is deleted, and made anew`, async () => {
      const dir = tempFolder();
      const first = await openStoreFixture(dir);
      const contents = [contentOf("packed", 300), contentOf("big", LIMITS.packedBlobBytes + 1)];
      const digests = await first.put(...contents);
      const upload = await first.store.openUpload("upload");
      await upload.write(contentOf("upload", 1_000));
      await upload.seal({ leaseMs: Number.POSITIVE_INFINITY });
      await first.close();
      const files = storeFiles(dir);
      const index = openIndexForWriting(join(dir, "index"));
      index.transaction(() => index.remove(keyOf(digests[1] ?? digestOf(""))));
      await index.close();
      await assert.rejects(openStore({ dir, log: ignore }), {
        code: "STORE_CORRUPT",
        detail: { rebuild: true, unreadable: true },
      });
      assert.deepEqual(storeFiles(dir), files);
      const { orphaned, brokenRows, corrupt, wrongAccounts } = await checkClosed(dir);
      assert.deepEqual(orphaned, [], "a repair would move it away");
      assert.ok(brokenRows.length + corrupt.length + wrongAccounts.length > 0);
      await rebuildIndex(dir, { log: ignore });
      const second = await openStoreFixture(dir);
      for (const [i, digest] of digests.entries())
        assert.deepEqual(await second.store.read(digest), contents[i]);
      assert.deepEqual(second.store.listUploads(), [{ id: "upload", size: 1_000 }]);
      assert.deepEqual((await second.store.fsck()).wrongAccounts, []);
      await second.close();
    });

  it("comes from a version that did not count its rows is counted from then on", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const [digest] = await first.put(contentOf("kept", 300));
    await first.store.acquireLease("lease", 1e9);
    await first.close();
    const old = openIndexForWriting(join(dir, "index"));
    const { segments: _, leases: __, ...meta } = new IndexView(old).meta();
    old.transaction(() => old.put(META_KEY, encodeMeta(META_KEY, meta)));
    await old.close();
    const second = await openStoreFixture(dir);
    await second.put(contentOf("another", 300));
    await second.store.releaseLease("lease");
    assert.deepEqual(await second.store.read(digest ?? digestOf("")), contentOf("kept", 300));
    assert.deepEqual((await second.store.fsck()).wrongAccounts, []);
    await second.close();
    const index = openIndexForWriting(join(dir, "index"));
    const { segments, leases } = new IndexView(index).meta();
    assert.deepEqual([segments, leases], [2, 0]);
    await index.close();
  });

  it("has a key out of order sends no walk through it round for ever", { timeout: 60_000 }, async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir);
    const digests = await first.put(...Array.from({ length: 100 }, (_, i) => contentOf(i, 10)));
    await first.close();
    const last = digestBytes(digests.sort().at(-1) ?? digestOf(""));
    const file = join(dir, "index", "index.mdb");
    const bytes = fs.readFileSync(file);
    for (let at = bytes.indexOf(last); at >= 0; at = bytes.indexOf(last, at + 1)) bytes[at] = 1;
    fs.writeFileSync(file, bytes);
    const second = await openStoreFixture(dir);
    const { brokenRows } = await second.store.fsck();
    assert.ok(brokenRows.length > 0);
    await assert.rejects(second.store.collectGarbage({ roots: () => [], graceMs: 0 }), {
      code: "STORE_CORRUPT",
    });
    await second.close();
  });
});
