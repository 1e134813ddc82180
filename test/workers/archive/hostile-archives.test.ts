import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_CODES, GranaryError } from "../../../proto/errors.ts";
import { HOSTILE_ARCHIVES } from "../../helpers/hostile-archives.ts";
import { listArchive } from "../../helpers/list-archive.ts";

/** Longest time from first byte to refusal, on a busy machine; an idle one needs a tenth. */
const REFUSED_WITHIN_MS = 5_000;

describe("the archive reader refuses", () => {
  for (const { name, code, bytes, detail, limits } of HOSTILE_ARCHIVES) {
    it(`refuses ${name}`, () => {
      const archive = bytes();
      const start = performance.now();
      const error = refusal(() => listArchive(archive, limits === undefined ? {} : { limits }));
      const elapsedMs = performance.now() - start;
      assert.equal(error.code, code, error.message);
      assert.equal(typeof error.detail["offset"], "number", "where it happened");
      for (const [key, value] of Object.entries(detail ?? {}))
        assert.equal(error.detail[key], value, `detail.${key}: ${error.message}`);
      assert.ok(elapsedMs < REFUSED_WITHIN_MS, `took ${Math.round(elapsedMs)} ms`);
    });
  }

  it("has a name of its own for each hostile archive", () => {
    assert.equal(new Set(HOSTILE_ARCHIVES.map(({ name }) => name)).size, HOSTILE_ARCHIVES.length);
  });

  it("breaks every rule of the archive grammar at least once", () => {
    const elsewhere = [
      "ARCHIVE_PATH_NOT_PORTABLE",
      "ARCHIVE_NAME_RESERVED",
      "ARCHIVE_TIMEOUT",
      "ARCHIVE_WORKER_DIED",
    ];
    const seen = new Set<string>(HOSTILE_ARCHIVES.map(({ code }) => code));
    const missing = Object.keys(ERROR_CODES).filter(
      (code) => code.startsWith("ARCHIVE_") && !seen.has(code) && !elsewhere.includes(code),
    );
    assert.deepEqual(missing, []);
  });
});

function refusal(run: () => unknown): GranaryError {
  try {
    run();
  } catch (error) {
    if (error instanceof GranaryError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "it was accepted" });
}
