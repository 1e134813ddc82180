import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { mutatedArchive, oddArchive } from "../helpers/archive-arbitrary.ts";
import { agreeOn, readOrRefuse } from "../helpers/read-or-refuse.ts";
import { directory, file, gnuLong, hardlink, pax, symlink, tar } from "../helpers/tar-builder.ts";

/** A twentieth is accepted, and then read by every other program: 50 ms each. */
const RUNS = { numRuns: 10_000 };
const HONEST = tar(
  directory("d/"),
  file("d/a", "hello"),
  pax({ path: "long/ä", mtime: "1.5" }),
  file("x", "hello"),
  gnuLong("L", "n".repeat(120)),
  file("n", "1", { magic: "gnu" }),
  symlink("l", "d/a"),
  hardlink("h", "d/a"),
  file("last", "x".repeat(513)),
);

describe("in a long campaign", () => {
  for (const [name, archives] of Object.entries({ forged: oddArchive(), damaged: mutatedArchive(HONEST) })) {
    it(`${name} archives that are accepted list the same everywhere`, () => {
      let accepted = 0;
      fc.assert(
        fc.property(archives, (archive) => {
          const tree = readOrRefuse(archive);
          if (tree === undefined) return;
          accepted += 1;
          agreeOn(archive, tree);
        }),
        RUNS,
      );
      assert.ok(accepted > 0);
    });
  }
});
