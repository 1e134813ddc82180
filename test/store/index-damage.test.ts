import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { openStore } from "../../store/store.ts";
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

describe("an index that was", () => {
  for (const [name, damage] of Object.entries(DAMAGE)) {
    it(`${name} is refused with a clear error, costs no content, and can be rebuilt`, async () => {
      const dir = tempFolder();
      const first = await openStoreFixture(dir);
      const contents = Array.from({ length: 500 }, (_, i) => contentOf(i, 300));
      const digests = await first.put(...contents);
      await first.close();
      const before = storeFiles(dir);
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
      assert.deepEqual(storeFiles(dir), before);
      await rebuildIndex(dir, { log: ignore });
      const second = await openStoreFixture(dir);
      for (const [i, digest] of digests.entries())
        assert.deepEqual(await second.store.read(digest), contents[i]);
      await second.close();
    });
  }

  it("made for another store is refused", async () => {
    const [a, b] = [tempFolder(), tempFolder()];
    for (const dir of [a, b]) {
      const fixture = await openStoreFixture(dir);
      await fixture.put(contentOf(dir, 100));
      await fixture.close();
    }
    const before = storeFiles(a);
    fs.cpSync(join(b, "index"), join(a, "index"), { recursive: true });
    await assert.rejects(openStore({ dir: a, log: ignore }), { code: "STORE_CORRUPT" });
    assert.deepEqual(storeFiles(a), before);
  });
});
