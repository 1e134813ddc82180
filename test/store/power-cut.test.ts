import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { withPowerCutDisk } from "../helpers/power-cut-disk.ts";
import { assertKept, assertNothingElse, runAndKill } from "../helpers/store-crash-child.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";

const CUTS = Number(process.env["GRANARY_KILLS"] ?? 4);

it(`loses nothing that was acknowledged in ${CUTS} power cuts`, async (t) => {
  await withPowerCutDisk(t, 1024, async (disk, seed) => {
    let count = 0;
    for (let run = 0; run < CUTS; run++) {
      const dir = join(disk.folder, "store");
      const lifeMs = contentOf(`${seed} ${run}`, 4).readUInt32LE(0) % 400;
      const acknowledged = await runAndKill(dir, { run, lifeMs, beforeKill: () => disk.cut() });
      disk.restore();
      const fixture = await openStoreFixture(dir);
      assert.deepEqual(fixture.log, []);
      await assertKept(fixture.store, acknowledged);
      assertNothingElse(dir, fixture.store);
      const { corrupt, missing, misframed } = await fixture.store.fsck();
      assert.deepEqual([corrupt, missing, misframed], [[], [], []]);
      await fixture.close();
      count += acknowledged.blobs.length + acknowledged.uploads.length;
    }
    t.diagnostic(`${count} blobs and uploads were acknowledged`);
    assert.ok(count > 0);
  });
});
