import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DigestTable } from "../../store/digest-table.ts";
import { contentOf } from "../helpers/store-fixture.ts";

describe("the table of digests", () => {
  it("finds what was added and nothing else, past any size it began with", () => {
    const table = new DigestTable(4);
    const keys = Array.from({ length: 2000 }, (_, i) => contentOf(i, 40));
    for (const [i, key] of keys.entries()) {
      assert.equal(table.find(key, 8), undefined);
      table.add(key, 8, i - 2);
    }
    for (const [i, key] of keys.entries()) assert.equal(table.find(key, 8), i - 2);
    assert.throws(() => table.add(keys[7] ?? Buffer.alloc(40), 8, 1), RangeError);
    table.clear();
    for (const key of keys) assert.equal(table.find(key, 8), undefined);
  });

  it("tells digests apart that begin alike", () => {
    const table = new DigestTable(4);
    for (let i = 0; i < 300; i++) table.add(twin(i), 0, i);
    for (let i = 0; i < 300; i++) assert.equal(table.find(twin(i), 0), i);
    assert.equal(table.find(twin(300), 0), undefined);
  });

  it("is not slowed down by digests that somebody made up to begin alike", () => {
    // Each next to all others: without another hash 2 * 10^10 comparisons, minutes of a thread.
    const made = 200_000;
    for (const place of [4, 16, 28]) {
      const table = new DigestTable();
      const key = Buffer.alloc(32, 7);
      const cpuBefore = process.cpuUsage();
      for (let i = 0; i < made; i++) {
        key.writeUInt32BE(i, place);
        if (table.find(key, 0) === undefined) table.add(key, 0, i);
      }
      for (let i = 0; i < made; i += 1_000) {
        key.writeUInt32BE(i, place);
        assert.equal(table.find(key, 0), i);
      }
      const { user, system } = process.cpuUsage(cpuBefore);
      assert.ok(user + system < 5e6, `${(user + system) / 1e6} s of CPU`);
    }
  });
});

/** Differs from its like in the last bytes only. */
function twin(i: number): Buffer {
  const bytes = Buffer.alloc(32, 7);
  bytes.writeUInt16LE(i, 30);
  return bytes;
}
