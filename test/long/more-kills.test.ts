import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runProgram } from "../helpers/run-program.ts";

const env = {
  GRANARY_KILLS: process.env["GRANARY_KILLS"] ?? "20",
  GRANARY_MANY_FILES: process.env["GRANARY_MANY_FILES"] ?? "50000",
  // A test run within another one would report to it instead of telling here what failed.
  NODE_TEST_CONTEXT: undefined,
};

for (const name of [
  "e2e/crash",
  "e2e/directory-cli",
  "services/data-lock",
  "services/pointer/replica",
  "store/crash",
  "store/power-cut",
  "store/store-model",
])
  test(`${name} holds with more kills and more files than npm test has time for`, async () => {
    const file = fileURLToPath(new URL(`../${name}.test.js`, import.meta.url));
    const { code, stdout } = await runProgram(process.execPath, ["--test", file], {
      env,
      timeoutMs: 20 * 60_000,
    });
    assert.equal(code, 0, stdout);
  });
