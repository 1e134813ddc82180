import assert from "node:assert/strict";
import { test } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { FreshContent } from "../../store/fresh-content.ts";

const EIGHTH_MIB = 128 * 1024;

/** Content `n`, told from all others by each of its 4-byte words. */
function content(n: number, size: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(n);
  return Buffer.alloc(size, word);
}

function read(fresh: FreshContent, digest: Digest, size: number): Buffer | undefined {
  const into = Buffer.alloc(size + 2);
  return fresh.copy(digest, size, into, 1) ? into.subarray(1, size + 1) : undefined;
}

test("new contents are kept as far as they fit, each as it was put there", () => {
  const fresh = new FreshContent();
  for (let n = 0; n < 300; n++) fresh.add(digestOf(String(n)), content(n, EIGHTH_MIB));
  for (let n = 0; n < 256; n++)
    assert.ok(read(fresh, digestOf(String(n)), EIGHTH_MIB)?.equals(content(n, EIGHTH_MIB)), `content ${n}`);
  assert.equal(read(fresh, digestOf("256"), EIGHTH_MIB), undefined, "32 MiB are full");
});

test("a size other than the content's own is not answered, and large contents are not kept", () => {
  const fresh = new FreshContent();
  fresh.add(digestOf("a"), Buffer.alloc(10, 1));
  assert.equal(read(fresh, digestOf("a"), 9), undefined);
  assert.equal(read(fresh, digestOf("a"), 10)?.[0], 1);
  fresh.add(digestOf("b"), Buffer.alloc(256 * 1024 + 1));
  assert.equal(read(fresh, digestOf("b"), 256 * 1024 + 1), undefined);
});

test("for the next task nothing is new any more: what is on disk has to be read to be found damaged", () => {
  const fresh = new FreshContent();
  fresh.add(digestOf("a"), Buffer.alloc(10, 1));
  fresh.clear();
  assert.equal(read(fresh, digestOf("a"), 10), undefined);
});
