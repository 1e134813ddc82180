import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { Finding } from "../../store/check-content.ts";
import { IndexChanges } from "../../store/index-changes.ts";
import { openIndexForWriting } from "../../store/index-db.ts";
import { IndexView } from "../../store/index-view.ts";
import { checkByScrub, flipBits } from "../helpers/bit-flips.ts";
import { random } from "../helpers/random.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, type StoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const FLIPS = 20;
const contents = Array.from({ length: 60 }, (_, i) => contentOf(i, 20_000));

async function withStore(work: (fixture: StoreFixture) => Promise<void>): Promise<void> {
  const fixture = await openStoreFixture(tempFolder());
  try {
    await fixture.put(...contents);
    await work(fixture);
  } finally {
    await fixture.close();
  }
}

/** Scrubs until the end or until `bytes` were read. */
async function scrub({ store }: StoreFixture, options: { from?: string; rateBytes: number; forMs?: number }) {
  const ending = new AbortController();
  const found: Finding[] = [];
  const seen = { cursor: "", checked: 0, bytes: 0 };
  const timer = options.forMs === undefined ? undefined : setTimeout(() => ending.abort(), options.forMs);
  const whole = await store.scrub({
    ...(options.from !== undefined && { from: options.from }),
    rateBytes: options.rateBytes,
    signal: ending.signal,
    onFound: (finding) => found.push(finding),
    onProgress: ({ cursor, checked, bytes }) => {
      seen.cursor = cursor;
      seen.checked += checked;
      seen.bytes += bytes;
    },
  });
  clearTimeout(timer);
  return { whole, found, ...seen };
}

/** Keeps this thread, and no other, from going on. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe("a scrub", () => {
  it(`finds ${FLIPS} of ${FLIPS} flipped bits though it is broken off all the time, and names nothing else`, async (t) => {
    const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
    t.diagnostic(`GRANARY_SEED=${seed}`);
    t.diagnostic(JSON.stringify(await flipBits(FLIPS, random(seed), checkByScrub)));
  });

  it("reads every byte of content, finds nothing in a clean store, and marks what is damaged", () =>
    withStore(async (fixture) => {
      const clean = await scrub(fixture, { rateBytes: 1e12 });
      assert.deepEqual([clean.whole, clean.found, clean.checked], [true, [], contents.length]);
      assert.ok(clean.bytes >= 60 * 20_000);
      const victim = contents[30] ?? Buffer.alloc(0);
      const { path, offset } = findInPacks(fixture.dir, victim);
      flipBit(path, offset + 5);
      const { found } = await scrub(fixture, { rateBytes: 1e12 });
      assert.deepEqual(found, [{ kind: "corrupt", name: digestOf(victim) }]);
      const { store, put } = fixture;
      await waitUntil("it is marked", 5_000, () => store.stat(digestOf(victim)) === undefined);
      await put(victim);
      assert.deepEqual((await scrub(fixture, { rateBytes: 1e12 })).found, []);
    }));

  it("does not take back what has come again since it was found to be damaged", () =>
    withStore(async ({ dir, store, put }) => {
      const victim = contents[30] ?? Buffer.alloc(0);
      const { path, offset } = findInPacks(dir, victim);
      flipBit(path, offset + 5);
      await assert.rejects(store.read(digestOf(victim)), { code: "STORE_CORRUPT" });
      await waitUntil("it is marked", 5_000, () => store.stat(digestOf(victim)) === undefined);
      const found: Finding[] = [];
      const scrubbed = store.scrub({
        rateBytes: 1e12,
        signal: new AbortController().signal,
        onFound: (finding) => found.push(finding),
        onProgress: () => undefined,
      });
      // What the scrub finds meanwhile waits, and so does the answer of the commit.
      block(300);
      const healed = put(victim);
      block(200);
      await Promise.all([scrubbed, healed]);
      assert.deepEqual(found.slice(1), []);
      await put(Buffer.from("what is committed behind a mark"));
      assert.equal(store.damagedBlobs, 0);
      assert.deepEqual(await store.read(digestOf(victim)), victim);
    }));

  it("is no faster than its rate, ends at once when it has to, and goes on where it was", () =>
    withStore(async (fixture) => {
      let first = await scrub(fixture, { rateBytes: 100_000, forMs: 300 });
      // A thread of a busy machine may not have begun by then.
      for (let forMs = 600; first.checked === 0 && forMs < 10_000; forMs *= 2)
        first = await scrub(fixture, { rateBytes: 100_000, forMs });
      assert.equal(first.whole, false);
      assert.ok(first.checked > 0 && first.checked < contents.length, `${first.checked}`);
      const second = await scrub(fixture, { rateBytes: 1e12, from: first.cursor });
      assert.equal(second.whole, true);
      assert.equal(first.checked + second.checked, contents.length);
    }));
});

it("a mark of damage holds for the place where it was found, and for no other", async () => {
  const dir = tempFolder();
  const fixture = await openStoreFixture(dir);
  const [digest] = await fixture.put(contentOf("moved since", 1_000));
  await fixture.close();
  assert.ok(digest !== undefined);
  const index = openIndexForWriting(join(dir, "index"));
  const row = new IndexView(index).blob(digest);
  assert.ok(row?.kind === "packed");
  index.transaction(() => {
    const changes = new IndexChanges(index);
    assert.equal(changes.damage(digest, { ...row, offset: row.offset + 64 }), false);
    assert.equal(changes.damage(digest, { ...row, segment: row.segment + 1 }), false);
    assert.equal(changes.damage(digest, row), true);
  });
  await index.close();
});
