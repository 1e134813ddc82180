import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, putLayer, taskCell } from "../helpers/store-fixture.ts";
import { collect, contentBytes, putTree } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const HOUR_MS = 3_600_000;

test("a dry run of garbage collection foretells to the byte what a run gets back: layers of listings that go, whole segments, and copies", async () => {
  for (const compactFully of [false, true]) {
    const fixture = await openStoreFixture(tempFolder());
    const keep: { tree: Digest }[] = [];
    // Bytes that stay and that go of each segment.
    const segments = [
      [300_000, 20_000],
      [200_000, 100_000],
      [9_000, 250_000],
      [0, 90_000],
      [0, 70_000],
    ] as const;
    for (const [i, [stays, goes]] of segments.entries()) {
      const thread = openThreadStore(fixture.store.workerData());
      const own = { ...fixture, task: () => thread.beginTask(taskCell()) };
      if (stays > 0) keep.push(await putTree(own, [contentOf(`stays ${i}`, stays)]));
      await putLayer(own, { "a.bin": contentOf(`goes ${i}`, goes) });
      await thread.close();
    }
    // Some is condemned already, and some of that is named again.
    await collect(fixture, keep.slice(0, 1), { graceMs: HOUR_MS });
    await putLayer(fixture, { "a.bin": contentOf("new", 1_000) });
    const foretold = await collect(fixture, keep, { dryRun: true, compactFully });
    const before = contentBytes(fixture.dir);
    const done = await collect(fixture, keep, { compactFully });
    assert.deepEqual(
      [foretold.reclaimableBytes, foretold.segments],
      [done.reclaimedBytes, done.segments],
      `compactFully: ${compactFully}`,
    );
    assert.equal(before - contentBytes(fixture.dir), foretold.reclaimableBytes);
    await fixture.close();
  }
});

test("garbage collection gathers small segments once there are many, foretold to the byte, and leaves a few alone", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const { store, dir } = fixture;
  const trees: Awaited<ReturnType<typeof putTree>>[] = [];
  const packs = () => [...storeFiles(dir).keys()].filter((name) => name.startsWith("packs/")).length;
  const publishFrom = async (first: number, end: number) => {
    for (let i = first; i < end; i++) {
      const thread = openThreadStore(store.workerData());
      const own = { ...fixture, task: () => thread.beginTask(taskCell()) };
      trees.push(await putTree(own, [contentOf(`small ${i}`, 1_000 + i)]));
      await thread.close();
    }
  };
  await publishFrom(0, LIMITS.gcSmallSegments - 1);
  assert.deepEqual((await collect(fixture, trees)).segments, { dropped: 0, rewritten: 0 });
  await publishFrom(LIMITS.gcSmallSegments - 1, LIMITS.gcSmallSegments);
  assert.equal(packs(), LIMITS.gcSmallSegments);
  const foretold = await collect(fixture, trees, { dryRun: true });
  const done = await collect(fixture, trees);
  assert.deepEqual([foretold.reclaimableBytes, foretold.segments], [done.reclaimedBytes, done.segments]);
  assert.equal(packs(), 1);
  for (const digest of trees.flatMap(({ tree, files }) => [tree, ...files]))
    assert.equal(digestOf(await store.read(digest)), digest);
  const { corrupt, missing, misframed, wrongAccounts } = await store.fsck();
  assert.deepEqual([corrupt, missing, misframed, wrongAccounts], [[], [], [], []]);
  await fixture.close();
});
