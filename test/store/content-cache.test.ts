import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { ContentCache } from "../../store/content-cache.ts";
import { random as seeded } from "../helpers/random.ts";

const MIB = 1024 * 1024;

/** Content `n`, told from all others by each of its 4-byte words. */
function content(n: number, size: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(n);
  return Buffer.alloc(size, word);
}

function read(cache: ContentCache, digest: Digest, size: number): Buffer | undefined {
  const into = Buffer.alloc(size + 2);
  return cache.copy(digest, size, into, 1) ? into.subarray(1, size + 1) : undefined;
}

test("what the cache has is what was put there, over many rounds of its ring, and what came last is there", (t) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = seeded(seed);
  t.diagnostic(`seed ${seed}`);
  const cache = new ContentCache();
  const added: { digest: Digest; size: number }[] = [];
  for (let n = 0; n < 3_000; n++) {
    if (n % 50 === 0) cache.beginTask();
    const size = 1 + Math.floor(random() ** 3 * 256 * 1024);
    const digest = digestOf(String(n));
    cache.add(digest, content(n, size));
    added.push({ digest, size });
    assert.deepEqual(read(cache, digest, size), content(n, size));
    const other = Math.floor(random() * added.length);
    const asked = added[other] ?? assert.fail();
    const found = read(cache, asked.digest, asked.size);
    if (found !== undefined) assert.ok(found.equals(content(other, asked.size)), `content ${other}`);
    else assert.ok(other < n - 100, `${other} was forgotten at ${n}`);
  }
  assert.equal(read(cache, added[0]?.digest ?? assert.fail(), added[0]?.size ?? 0), undefined);
});

test("a size other than the content's own is not answered, and large contents are not kept", () => {
  const cache = new ContentCache();
  const digest = digestOf("a");
  cache.add(digest, Buffer.alloc(10, 1));
  assert.equal(read(cache, digest, 9), undefined);
  assert.equal(read(cache, digest, 10)?.[0], 1);
  cache.add(digestOf("b"), Buffer.alloc(256 * 1024 + 1));
  assert.equal(read(cache, digestOf("b"), 256 * 1024 + 1), undefined);
});

test("one task does not push out what it has brought itself", () => {
  const cache = new ContentCache();
  cache.beginTask();
  for (let n = 0; n < 64 * 8; n++) cache.add(digestOf(String(n)), content(n, MIB / 8));
  assert.deepEqual(read(cache, digestOf("0"), MIB / 8), content(0, MIB / 8));
  assert.equal(read(cache, digestOf("511"), MIB / 8), undefined);
});
