import assert from "node:assert/strict";
import { describe } from "node:test";
import type { ArchiveLimits } from "../../proto/limits.ts";
import { HOSTILE_ARCHIVES } from "../helpers/hostile-archives.ts";
import { refusesAll } from "../helpers/refuse-archives.ts";

/** Limits that an operator can set; a row that lowers another one belongs to the reader's own tests. */
const SETTINGS: Partial<Record<keyof ArchiveLimits, string>> = {
  uploadBytes: "upload_bytes",
  expandedBytes: "expanded_bytes",
  fileBytes: "file_bytes",
  entries: "entries",
  ratio: "ratio",
  extractMs: "extract_ms",
};

describe("archives that break a rule", () => {
  const some = HOSTILE_ARCHIVES.filter(({ limits, isSlow }) => limits === undefined && isSlow !== true);
  refusesAll("at the default limits", some, "");
  const lower = HOSTILE_ARCHIVES.filter(({ limits }) => {
    const keys = Object.keys(limits ?? {}) as (keyof ArchiveLimits)[];
    return keys.length > 0 && keys.every((key) => SETTINGS[key] !== undefined);
  });
  const settings = new Map<string, number>();
  for (const { name, limits } of lower)
    for (const [key, value] of Object.entries(limits ?? {})) {
      const setting = SETTINGS[key as keyof ArchiveLimits] ?? "";
      // One farm for all of them: each start of one costs 2 s of a core.
      assert.equal(settings.get(setting) ?? value, value, `${name} wants another ${setting} than others`);
      settings.set(setting, value);
    }
  const lines = [...settings].map(([setting, value]) => `${setting} = ${value}\n`);
  refusesAll("at lower limits", lower, `[limits]\n${lines.join("")}`);
});
