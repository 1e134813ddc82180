import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { digestKey, leaseKey, META_KEY, memoKey, ROW, segmentKey } from "../../store/index-keys.ts";
import * as rows from "../../store/index-rows.ts";
import { freshMeta } from "../../store/prepare-folder.ts";

const DIGEST = digestOf("x");
const FAR = 2 ** 47 + 12_345;
const KEY = digestKey(ROW.blob, DIGEST);

const CASES: readonly {
  name: string;
  key: Buffer;
  row: unknown;
  encode: () => Buffer;
  decode: (value: Uint8Array) => unknown;
}[] = [
  row(
    "packed blob",
    KEY,
    { kind: "packed", state: 2, segment: 2 ** 32 - 1, offset: FAR, size: 2 ** 23, born: 65_535 } as const,
    rows.encodeBlobRow,
    rows.decodeBlobRow,
  ),
  row(
    "big blob",
    KEY,
    { kind: "big", state: 0, size: FAR, born: 20_778 } as const,
    rows.encodeBlobRow,
    rows.decodeBlobRow,
  ),
  row(
    "layer",
    digestKey(ROW.layer, DIGEST),
    { size: FAR, encoder: 65_535, subtree: DIGEST, segment: 7, offset: FAR },
    rows.encodeLayerRow,
    rows.decodeLayerRow,
  ),
  row("memo", memoKey(DIGEST, 258), { digest: DIGEST, size: FAR }, rows.encodeMemo, rows.decodeMemo),
  row(
    "segment",
    segmentKey(1),
    { end: FAR, liveBytes: FAR - 1, liveRecords: 2 ** 32 - 1, nonce: new Uint8Array(16).fill(9) },
    rows.encodeSegmentRow,
    rows.decodeSegmentRow,
  ),
  row("lease", leaseKey("p1"), Number.POSITIVE_INFINITY, rows.encodeLease, rows.decodeLease),
  row(
    "crcs",
    digestKey(ROW.crcs, DIGEST),
    new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    rows.encodeCrcs,
    rows.decodeCrcs,
  ),
  row("meta", META_KEY, freshMeta("id"), rows.encodeMeta, rows.decodeMeta),
];

function row<T>(
  name: string,
  key: Buffer,
  value: T,
  encode: (key: Uint8Array, row: T) => Buffer,
  decode: (key: Uint8Array, value: Uint8Array) => unknown,
): (typeof CASES)[number] {
  return { name, key, row: value, encode: () => encode(key, value), decode: (bytes) => decode(key, bytes) };
}

describe("a row of the index", () => {
  for (const each of CASES) {
    it(`for a ${each.name} reads as it was written, and not at all with a flipped bit`, () => {
      const good = each.encode();
      assert.deepEqual(each.decode(new Uint8Array(good)), each.row);
      for (let bit = 0; bit < good.length * 8; bit++) {
        const bad = new Uint8Array(good);
        bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.throws(() => each.decode(bad), { code: "STORE_CORRUPT" });
      }
      assert.throws(() => each.decode(good.subarray(1)), { code: "STORE_CORRUPT" });
    });
  }

  it("is not taken for that of another key", () => {
    const value = rows.encodeBlobRow(KEY, { kind: "big", state: 0, size: 1 });
    assert.throws(() => rows.decodeBlobRow(digestKey(ROW.blob, digestOf("y")), value), {
      code: "STORE_CORRUPT",
    });
  });
});
