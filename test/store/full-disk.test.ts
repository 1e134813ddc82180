import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const DISK_MIB = 48;

it("a disk that really is full refuses commits and uploads, loses nothing, and resumes by itself", async (t) => {
  const disk = tempFolder();
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m`, "tmpfs", disk]);
  if (mounted.status !== 0) {
    t.skip("needs root to mount a small tmpfs");
    return;
  }
  try {
    const fixture = await openStoreFixture(join(disk, "store"));
    const { store, task, put } = fixture;
    const kept = await put(...Array.from({ length: 500 }, (_, i) => contentOf(i, 30)));
    const upload = await store.openUpload("waiting");
    await upload.write(contentOf("waiting", 1000));
    for (let round = 0; round < 3; round++) {
      const writer = task();
      for (let i = 0; i < 1000; i++) writer.putBlob(contentOf(`${round}.${i}`, 30));
      const batch = writer.finish();
      fill(join(disk, "filler"));
      await assert.rejects(store.commit(batch), { code: "STORE_FULL" });
      await store.releaseLease("none");
      for (const digest of kept) assert.ok(await store.read(digest));
      fs.rmSync(join(disk, "filler"));
      kept.push(...(await put(contentOf(`after ${round}`, 30))));
    }
    fill(join(disk, "filler"));
    await assert.rejects(upload.seal({ leaseMs: 1000 }), { code: "STORE_FULL" });
    fs.rmSync(join(disk, "filler"));
    assert.equal(store.failed, undefined);
    assert.deepEqual(store.listUploads(), []);
    await fixture.close();
    const again = await openStoreFixture(join(disk, "store"));
    assert.equal(again.store.stats().blobs, kept.length);
    assert.deepEqual((await again.store.fsck()).corrupt, []);
    await again.close();
  } finally {
    spawnSync("umount", ["-l", disk]);
  }
});

/** Takes all the room of the small disk; refuses to do that to any other. */
function fill(path: string): void {
  const { blocks, bsize } = fs.statfsSync(dirname(path));
  assert.ok(blocks * bsize <= DISK_MIB * 1024 * 1024, "this is not the disk that was mounted for it");
  const fd = fs.openSync(path, "w");
  try {
    for (let pages = 0; pages <= DISK_MIB * 256; pages++) fs.writeSync(fd, Buffer.alloc(4096));
    assert.fail("the disk did not fill up");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  } finally {
    fs.closeSync(fd);
  }
}
