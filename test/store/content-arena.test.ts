import assert from "node:assert/strict";
import { test } from "node:test";
import { digestBytes, digestOf } from "../../proto/digest.ts";
import { ContentArena } from "../../store/content-arena.ts";

const EIGHTH_MIB = 128 * 1024;

/** Content `n`, told from all others by each of its 4-byte words. */
function content(n: number, size: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(n);
  return Buffer.alloc(size, word);
}

function keyOf(n: number): Buffer {
  return Buffer.concat([Buffer.of(0), digestBytes(digestOf(String(n)))]);
}

function receive(received: ContentArena, n: number, size: number, isNew: boolean): boolean {
  const room = received.room(size);
  if (room === undefined) return false;
  room.set(content(n, size));
  received.keep(keyOf(n), size, { isNew });
  return true;
}

test("contents are kept as far as they fit, each as it was received, with room left for new ones", () => {
  const received = new ContentArena({ bytes: 256 * EIGHTH_MIB, knownBytes: 192 * EIGHTH_MIB });
  for (let n = 0; n < 300; n++) assert.ok(receive(received, n, EIGHTH_MIB, false));
  for (let n = 300; n < 600; n++) assert.equal(receive(received, n, EIGHTH_MIB, true), n < 364);
  for (let n = 0; n < 600; n++) {
    const kept = received.find(keyOf(n), EIGHTH_MIB);
    if (n < 192 || (n >= 300 && n < 364))
      assert.ok(kept?.equals(content(n, EIGHTH_MIB)), `content ${n} is kept`);
    else assert.equal(kept, undefined, `content ${n} does not fit`);
  }
});

test("what comes twice is kept once, and another size is not answered", () => {
  const received = new ContentArena({ bytes: 256 * EIGHTH_MIB, knownBytes: 192 * EIGHTH_MIB });
  for (let i = 0; i < 1_000; i++) receive(received, 1, EIGHTH_MIB, true);
  assert.ok(receive(received, 2, EIGHTH_MIB, true), "999 times 128 KiB take no room");
  assert.equal(received.find(keyOf(1), EIGHTH_MIB - 1), undefined);
  assert.ok(received.find(keyOf(1), EIGHTH_MIB)?.equals(content(1, EIGHTH_MIB)));
  assert.ok(received.find(keyOf(2), EIGHTH_MIB)?.equals(content(2, EIGHTH_MIB)));
});

test("what was forgotten is not answered", () => {
  const received = new ContentArena({ bytes: 256 * EIGHTH_MIB, knownBytes: 192 * EIGHTH_MIB });
  receive(received, 1, 10, true);
  received.clear();
  assert.equal(received.find(keyOf(1), 10), undefined);
});
