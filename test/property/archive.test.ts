import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import { encodeTree } from "../../proto/tree.ts";
import { type ByteSource, readArchive } from "../../workers/archive/read-archive.ts";
import { mutatedArchive, oddArchive } from "../helpers/archive-arbitrary.ts";
import { noise } from "../helpers/hostile-sizes.ts";
import { hashingSink, listArchive } from "../helpers/list-archive.ts";
import { agreeOn, readOrRefuse } from "../helpers/read-or-refuse.ts";
import {
  base256,
  directory,
  file,
  gnuLong,
  gzip,
  hardlink,
  pax,
  symlink,
  tar,
} from "../helpers/tar-builder.ts";

/** fast-check prints seed and path of what fails; to repeat it, pass them here. */
const RUNS = { numRuns: 1_000 };
/** Each look by three other programs takes 200 ms of CPU; test/long/archive-campaign.test.ts has thousands. */
const ORACLE_LOOKS = 12;

const USTAR = tar(
  directory("d/"),
  file("d/a", "hello"),
  file("b", noise(700)),
  symlink("l", "d/a"),
  hardlink("h", "b"),
);
const PAX = tar(
  pax({ path: "long/ä", mtime: "1.5" }),
  file("x", "hello"),
  pax({ size: "5" }),
  file("y", "world", { size: 0 }),
  file("z", "!"),
);
const GNU = tar(
  gnuLong("L", "n".repeat(120)),
  file("n", "1", { magic: "gnu" }),
  file("m", "23", { magic: "gnu", size: base256(2n, 12) }),
);

describe("any bytes are either refused with a code or listed as other readers list them", () => {
  it("forged archives are read or refused, and never anything else", () => {
    fc.assert(
      fc.property(oddArchive(), (archive) => void readOrRefuse(archive)),
      RUNS,
    );
  });

  for (const [name, honest] of Object.entries({ USTAR, PAX, GNU })) {
    it(`damaged ${name} archives are read or refused, and never anything else`, () => {
      fc.assert(
        fc.property(mutatedArchive(honest), (archive) => void readOrRefuse(archive)),
        RUNS,
      );
    });
  }

  it("forged archives that are accepted list the same everywhere", () => {
    let looks = 0;
    fc.assert(
      fc.property(oddArchive(), (archive) => {
        if (looks >= ORACLE_LOOKS) return;
        const tree = readOrRefuse(archive);
        if (tree === undefined) return;
        looks += 1;
        agreeOn(archive, tree);
      }),
      RUNS,
    );
    assert.ok(looks > 0, "some were accepted");
  });

  it("no archive that is cut short anywhere is accepted", () => {
    const compressed = gzip(PAX);
    for (let length = 0; length < compressed.length; length++) {
      assert.equal(readOrRefuse(compressed.subarray(0, length)), undefined, `${length} compressed bytes`);
    }
    for (let length = 0; length < PAX.length; length += length % 64 === 1 ? 62 : 1) {
      assert.equal(readOrRefuse(gzip(PAX.subarray(0, length), { level: 1 })), undefined, `${length} bytes`);
    }
  });

  it("random bytes behind a gzip magic are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), (bytes) => {
        assert.equal(readOrRefuse(Buffer.concat([Buffer.from([0x1f, 0x8b, 8]), bytes])), undefined);
        assert.equal(readOrRefuse(gzip(bytes)), undefined);
      }),
      RUNS,
    );
  });
});

describe("how bytes arrive changes nothing", () => {
  it("sources that give a few bytes at a time lead to the same tree", () => {
    const archive = gzip(Buffer.concat([USTAR.subarray(0, -1024), PAX]));
    const whole = listArchive(archive);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const report = readArchive(trickle(archive, sizes), {
          limits: ARCHIVE_LIMITS,
          portableNames: false,
          sink: hashingSink(),
        });
        assert.deepEqual(encodeTree(report.tree.entries), encodeTree(whole.tree.entries));
        assert.equal(report.compressedBytes, archive.length);
      }),
      { numRuns: 100 },
    );
  });

  it("gzip members that end anywhere lead to the same tree", () => {
    const whole = readOrRefuse(gzip(USTAR));
    fc.assert(
      fc.property(fc.array(fc.nat({ max: USTAR.length }), { maxLength: 6 }), (cuts) => {
        const bounds = [0, ...cuts.toSorted((a, b) => a - b), USTAR.length];
        const members = bounds.slice(1).map((end, i) => gzip(USTAR.subarray(bounds[i], end)));
        assert.equal(readOrRefuse(Buffer.concat(members)), whole);
      }),
      { numRuns: 200 },
    );
  });
});

function trickle(bytes: Uint8Array, sizes: readonly number[]): ByteSource {
  let at = 0;
  let turn = 0;
  return {
    read(into) {
      const part = bytes.subarray(at, at + Math.min(into.byteLength, sizes[turn % sizes.length] ?? 1));
      into.set(part);
      at += part.byteLength;
      turn += 1;
      return part.byteLength;
    },
  };
}
