import { setMaxListeners } from "node:events";
import { run } from "node:test";
import { killChildren } from "./kill-children.mjs";
import { TestReport } from "./test-report.mjs";

/** Two more than the cores of the smallest machine that is meant: a third of a file's time is waiting, and with three at a time a tenth of both cores was idle. */
const CONCURRENCY = 4;
/** How long test processes have to end after the time limit. */
const STRAGGLERS_MS = 5_000;

/**
 * Runs test files, each in a process of its own, four at a time.
 * @param {string} root the checkout
 * @param {readonly string[]} files absolute paths
 * @param {{timeoutMs: number, results: import("./test-report.mjs").Results}} options `results` is added to
 */
export async function runTestFiles(root, files, { timeoutMs, results }) {
  if (files.length === 0) return;
  const abort = new AbortController();
  // One listener per file: more than ten are no leak.
  setMaxListeners(0, abort.signal);
  const report = new TestReport(root, results);
  const limit = setTimeout(() => {
    process.stdout.write(
      `\nthe tests took longer than ${timeoutMs / 60_000} min; ending ${report.running()}\n`,
    );
    abort.abort();
    setTimeout(killChildren, STRAGGLERS_MS).unref();
  }, timeoutMs);
  for await (const event of run({ files: [...files], concurrency: CONCURRENCY, signal: abort.signal })) {
    report.on(event);
  }
  report.end();
  clearTimeout(limit);
}
