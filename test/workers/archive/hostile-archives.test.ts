import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_CODES, GranaryError } from "../../../proto/errors.ts";
import { cpuMs } from "../../helpers/cpu-ms.ts";
import { HOSTILE_ARCHIVES } from "../../helpers/hostile-archives.ts";
import { listArchive } from "../../helpers/list-archive.ts";

/** Processor time to the refusal; the slowest, 200,001 entries, takes 1.7 s. */
const REFUSED_WITHIN_MS = 5_000;

describe("the archive reader refuses", () => {
  for (const { name, code, bytes, detail, limits } of HOSTILE_ARCHIVES) {
    it(`refuses ${name}`, () => {
      const archive = bytes();
      const { ms, error } = cpuMs(() => listArchive(archive, limits === undefined ? {} : { limits }));
      assert.ok(error instanceof GranaryError, error === undefined ? "it was accepted" : String(error));
      assert.equal(error.code, code, error.message);
      assert.equal(typeof error.detail["offset"], "number", "where it happened");
      for (const [key, value] of Object.entries(detail ?? {}))
        assert.equal(error.detail[key], value, `detail.${key}: ${error.message}`);
      assert.ok(ms < REFUSED_WITHIN_MS, `took ${ms} ms`);
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
