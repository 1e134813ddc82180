import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const IMPORT = 'import { test } from "node:test";\n';

test("failures, skips with their reasons and one last line of sums are printed", () => {
  const { lines, status } = runTests({
    "a.test.js": `${IMPORT}test("holds", () => {}); test("skipped", { skip: "no root" }, () => {});`,
    "b.test.js": `${IMPORT}test("outer", async (t) => { console.log("a trace"); await t.test("inner", () => { throw new Error("boom"); }); });`,
  });
  assert.equal(status, 1);
  assert.equal(lines.at(-1), "1 passed, 1 failed, 1 skipped");
  assert.equal(lines.filter((line) => /\d+ passed, \d+ failed/.test(line)).length, 1);
  assert.ok(lines.includes("skipped test/a.test.ts: skipped (no root)"));
  assert.ok(lines.includes("FAILED  test/b.test.ts: outer > inner"));
  assert.ok(lines.some((line) => line.includes("Error: boom")));
  assert.ok(lines.some((line) => line.includes("a trace")));
});

test("the stack of a failure names the source, not what it was compiled to", () => {
  const map = { version: 3, sources: ["../../test/a.test.ts"], names: [], mappings: "AAQA" };
  const { lines } = runTests({
    "a.test.js": `${IMPORT}test("a", () => { throw new Error("boom"); });`,
    "a.test.js.map": JSON.stringify(map),
  });
  assert.ok(
    lines.some((line) => /^ +at .*\/test\/a\.test\.ts:9:1\)$/.test(line)),
    lines.join("\n"),
  );
});

test("passing tests make exit code 0, and long ones run only when asked for", () => {
  const files = {
    "a.test.js": `${IMPORT}test("a", () => {});`,
    "long/b.test.js": `${IMPORT}test("b", () => {});`,
  };
  const short = runTests(files);
  assert.deepEqual([short.status, short.lines.at(-1)], [0, "1 passed, 0 failed, 0 skipped"]);
  assert.equal(runTests(files, "--long").lines.at(-1), "2 passed, 0 failed, 0 skipped");
  assert.equal(runTests(files, "--long", "long/").lines.at(-1), "1 passed, 0 failed, 0 skipped");
});

test("the files that are to begin first exist, and do", () => {
  const script = `
    import { FIRST, testFiles } from "./deploy/tests/test-files.mjs";
    console.log(JSON.stringify({ FIRST, all: testFiles(process.cwd(), { long: true, only: [] }) }));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: REPOSITORY_ROOT,
    encoding: "utf8",
  });
  const { FIRST, all } = JSON.parse(stdout) as Record<"FIRST" | "all", string[]>;
  const folder = path.join(REPOSITORY_ROOT, "dist", "test");
  assert.deepEqual(
    all.slice(0, FIRST.length).map((file) => path.relative(folder, file)),
    FIRST,
  );
});

test("no test at all, a file without tests and a file that crashes are failures", () => {
  assert.equal(runTests({}).status, 1);
  assert.equal(runTests({ "a.test.js": `${IMPORT}test("a", () => {});` }, "another").status, 1);
  const empty = runTests({ "a.test.js": `${IMPORT}test("a", () => {});`, "b.test.js": "" });
  assert.deepEqual([empty.status, empty.lines.at(-1)], [1, "1 passed, 1 failed, 0 skipped"]);
  const crash = runTests({ "a.test.js": 'throw new Error("at import");' });
  assert.deepEqual([crash.status, crash.lines.at(-1)], [1, "0 passed, 1 failed, 0 skipped"]);
  assert.ok(crash.lines.some((line) => line.includes("at import")));
});

test("a test that does not end is ended at the time limit", () => {
  const root = checkoutWith({
    "a.test.js": `${IMPORT}test("a", () => new Promise(() => setTimeout(() => {}, 60_000)));`,
  });
  const script = `
    import { runTestFiles } from "./deploy/tests/run-test-files.mjs";
    const results = { passed: 0, failed: 0, skipped: [] };
    await runTestFiles(process.cwd(), [process.cwd() + "/dist/test/a.test.js"], { timeoutMs: 1_000, results });
    console.log(JSON.stringify(results));`;
  writeFileSync(path.join(root, "main.mjs"), script);
  const { lines } = run(root, ["main.mjs"]);
  assert.equal(lines.at(-1), '{"passed":0,"failed":1,"skipped":[]}');
  assert.ok(lines.some((line) => line.includes("ending test/a.test.ts")));
});

function runTests(files: Record<string, string>, ...args: string[]) {
  return run(checkoutWith(files), ["deploy/run-tests.mjs", "--no-check", ...args]);
}

function checkoutWith(files: Record<string, string>): string {
  const root = tempFolder();
  cpSync(path.join(REPOSITORY_ROOT, "deploy"), path.join(root, "deploy"), {
    recursive: true,
    dereference: true,
  });
  writeFileSync(path.join(root, "package.json"), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, "dist", "test", name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return root;
}

function run(root: string, args: readonly string[]): { status: number | null; lines: string[] } {
  // Inside a test run node:test would take the inner one for a part of it.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    env,
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}
