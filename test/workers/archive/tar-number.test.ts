import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readTarNumber } from "../../../workers/archive/tar-number.ts";
import { base256 } from "../../helpers/tar-builder.ts";

const read = (field: string | Buffer, style = {}) =>
  readTarNumber(Buffer.from(field), 0, field.length, style);

describe("a numeric header field", () => {
  it("is octal digits and a terminator", () => {
    assert.equal(read("0000644\0"), 0o644);
    assert.equal(read("0000644 "), 0o644);
    assert.equal(read("644 \0   "), 0o644);
    assert.equal(read("0\0"), 0);
    for (const bad of [
      "0000644",
      "",
      "        ",
      "\0\0",
      " 644\0",
      "648\0",
      "-1\0",
      "+1\0",
      "0x1\0",
      "1\x001\0",
      "1 1\0",
      "1_0\0",
      "1.0\0",
    ])
      assert.equal(read(bad), undefined, bad);
  });

  it("may be padded in front or empty only where the style says so", () => {
    assert.equal(read("  644\0", { leadingSpaces: true }), 0o644);
    assert.equal(read("\0\0\0\0", { empty: true }), 0);
    assert.equal(read("    ", { empty: true }), 0);
    assert.equal(read("    ", { leadingSpaces: true }), undefined);
  });

  it("reads back every size that base-256 can spell", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }), (n) =>
        assert.equal(read(base256(n, 12), { base256: true }), Number(n)),
      ),
    );
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 53n), max: -1n }), (n) =>
        assert.equal(read(base256(n, 12), { negative: true }), Number(n)),
      ),
    );
  });

  it("is base-256 only behind exactly 0x80 or 0xff", () => {
    for (let lead = 0x81; lead < 0xff; lead++)
      assert.equal(
        read(Buffer.from([lead, 0, 0, 5]), { base256: true, negative: true }),
        undefined,
        String(lead),
      );
    assert.equal(read(Buffer.from([0x80, 0, 0, 5]), {}), undefined);
    assert.equal(read(Buffer.from([0xff, 0xff, 0xff, 0xff]), { base256: true }), undefined);
  });

  it("stays larger than any limit where it is larger than what a double holds", () => {
    assert.ok(
      (read(Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11, 0xff)]), { base256: true }) ?? 0) > 2 ** 80,
    );
  });
});
