#!/usr/bin/env node
/**
 * `npm test` behind set-up: biome and knip over the sources and every compiled test file, four at a time. Failures are
 * shown as they come, with what their file printed; every skipped test with its reason. The last line is
 * `N passed, N failed, N skipped`. Exits 1 on any failure, when no test ran, and after the time limit.
 *
 * Options: `--long` adds test/long; `--no-check` leaves biome and knip out; any other argument keeps only the test files
 * whose path contains it.
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runChecks } from "./tests/run-checks.mjs";
import { runTestFiles } from "./tests/run-test-files.mjs";
import { testFiles } from "./tests/test-files.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const TIMEOUT_MS = 12 * 60_000;
const LONG_TIMEOUT_MS = 60 * 60_000;

async function main() {
  const { values, positionals } = parseArgs({
    options: { long: { type: "boolean", default: false }, "no-check": { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const checks = { passed: 0, failed: 0 };
  const tests = { passed: 0, failed: 0, skipped: [] };
  const files = testFiles(root, { long: values.long, only: positionals });
  await Promise.all([
    values["no-check"] ? undefined : runChecks(root, checks),
    runTestFiles(root, files, { timeoutMs: values.long ? LONG_TIMEOUT_MS : TIMEOUT_MS, results: tests }),
  ]);
  if (tests.passed + tests.failed === 0) {
    print("FAILED  no test ran");
    tests.failed++;
  }
  for (const { name, reason } of tests.skipped) print(`skipped ${name} (${reason})`);
  const failed = checks.failed + tests.failed;
  print(`${checks.passed + tests.passed} passed, ${failed} failed, ${tests.skipped.length} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function print(line) {
  process.stdout.write(`${line}\n`);
}

await main();
// A test process that was killed at the time limit may have left handles open.
process.exit();
