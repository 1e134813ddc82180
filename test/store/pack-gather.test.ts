import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { random } from "../helpers/random.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const SIZES = [0, 1, 700, 5_000, 15_000, 20_000, 256 * 1024, 256 * 1024 + 1, 900_000];

test("gathered contents are those that were put, whatever is asked for and in whatever order", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = random(seed);
  const contents = Array.from({ length: 150 }, (_, i) =>
    contentOf(i, SIZES[Math.floor(next() * SIZES.length)] ?? 0),
  );
  for (let at = 0; at < contents.length; at += 30) await fixture.put(...contents.slice(at, at + 30));
  const writer = fixture.task();
  for (let round = 0; round < 8; round++) {
    const wanted = contents.filter(() => next() < 0.4).sort(() => next() - 0.5);
    writer.gather(wanted.map((content) => ({ digest: digestOf(content), size: content.byteLength })));
    for (const content of [...wanted, contents[0] ?? Buffer.alloc(0)]) {
      const into = Buffer.alloc(content.byteLength + 2);
      writer.copyBlob({ digest: digestOf(content), size: content.byteLength }, into, 1);
      assert.ok(into.subarray(1, -1).equals(content), `seed ${seed}, round ${round}`);
    }
  }
  writer.abandon();
  await fixture.close();
});

test("a damaged record among gathered ones is refused by its own digest, its neighbours are not", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const contents = [1, 2, 3].map((n) => contentOf(n, 10_000));
  await fixture.put(...contents);
  const [first, victim, third] = contents;
  assert.ok(first && victim && third);
  const { path, offset } = findInPacks(fixture.dir, victim);
  flipBit(path, offset + 5_000);
  const writer = fixture.task();
  const about = (content: Buffer) => ({ digest: digestOf(content), size: content.byteLength });
  writer.gather(contents.map(about));
  const into = Buffer.alloc(10_000);
  for (const content of [first, third]) {
    writer.copyBlob(about(content), into, 0);
    assert.ok(into.equals(content));
  }
  assert.throws(() => writer.copyBlob(about(victim), into, 0), {
    code: "STORE_CORRUPT",
    detail: { digest: digestOf(victim) },
  });
  writer.abandon();
  await fixture.close();
});

test("a size other than the listed one is refused", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const content = contentOf("x", 1_000);
  await fixture.put(content);
  const writer = fixture.task();
  const wrong = { digest: digestOf(content), size: 999 };
  writer.gather([wrong]);
  assert.throws(() => writer.copyBlob(wrong, Buffer.alloc(999), 0), { code: "STORE_CORRUPT" });
  writer.abandon();
  await fixture.close();
});
