import assert from "node:assert/strict";
import { it } from "node:test";
import {
  type Acknowledged,
  assertKept,
  assertNothingElse,
  runAndKill,
} from "../helpers/store-crash-child.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const KILLS = Number(process.env["GRANARY_KILLS"] ?? 5);

it(`loses nothing that was acknowledged in ${KILLS} kills at random moments, and keeps nothing else`, async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const dir = tempFolder();
  const all: Acknowledged = { blobs: [], uploads: [] };
  // On a busy machine some lives end before anything was acknowledged.
  const isIdle = (): boolean => all.blobs.length === 0 || all.uploads.length === 0;
  for (let run = 0; run < KILLS || (isIdle() && run < 10 * KILLS); run++) {
    const lifeMs = contentOf(`${seed} ${run}`, 4).readUInt32LE(0) % 250;
    const acknowledged = await runAndKill(dir, { run, lifeMs });
    all.blobs.push(...acknowledged.blobs);
    all.uploads.push(...acknowledged.uploads);
    const fixture = await openStoreFixture(dir);
    assert.deepEqual(fixture.log, []);
    await assertKept(fixture.store, acknowledged);
    assertNothingElse(dir, fixture.store);
    await fixture.close();
  }
  t.diagnostic(`${all.blobs.length} blobs and ${all.uploads.length} uploads were acknowledged`);
  assert.ok(all.blobs.length > 0 && all.uploads.length > 0);
  const last = await openStoreFixture(dir);
  const { corrupt, missing, misframed, orphaned, wrongAccounts, checked } = await last.store.fsck();
  assert.deepEqual([corrupt, missing, misframed, orphaned, wrongAccounts], [[], [], [], [], []]);
  assert.ok(checked >= all.blobs.length);
  await assertKept(last.store, all);
  await last.close();
});
