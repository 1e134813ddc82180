import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { ERROR_CODES, EXIT, isErrorCode } from "../../../proto/errors.ts";
import type { Problem } from "../../../proto/http.ts";
import type { VerbSpec } from "../../../proto/verb-spec.ts";
import { VERBS } from "../../../proto/verbs.ts";
import { renderOverview, renderVerbHelp } from "../../../services/cli/help/render-help.ts";
import { textWidth } from "../../../services/cli/output/text-width.ts";
import { type CliResult, runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

/** Promises of the command line that hold for each verb of the table, also for those that will be added. */
const TABLE: readonly VerbSpec[] = VERBS;
const NO_FARM = ["--url", "http://127.0.0.1:1", "--token", "gr_test"];
/** Run a farm, in a process of its own (test/e2e/lifecycle.test.ts). */
const FARMS = new Set(["up", "serve"]);

const cwd = tempFolder();
mkdirSync(path.join(cwd, "examples", "support-bot"), { recursive: true });
writeFileSync(path.join(cwd, "examples", "support-bot", "main.py"), "print(1)\n");

describe("bad usage", () => {
  for (const verb of TABLE)
    test(`of ${verb.name} is exit 4: code, what, and what to do; with --json one problem`, async () => {
      const name = verb.name.split(" ");
      const required = (verb.args ?? []).filter(({ optional }) => optional !== true);
      const lines = [
        [...name, "--no-such-flag"],
        [...name, "--quiet=yes"],
        ...(required.length === 0 ? [] : [name]),
        ...((verb.args ?? []).some(({ many }) => many)
          ? []
          : [[...name, ...(verb.args ?? []).map(() => "x"), "one-too-many"]]),
        ...(verb.flags ?? [])
          .filter(({ type }) => type !== "switch")
          .map((flag) => [...name, `--${flag.name}`]),
      ];
      for (const line of lines) {
        const human = await runCli(line, { cwd });
        assert.deepEqual([human.code, human.stdout], [EXIT.usage, ""], line.join(" "));
        assert.match(human.stderr, /^error USAGE: .+\nhint: .+\n$/, line.join(" "));
        assert.ok(!human.stderr.includes("VERB"), human.stderr);
        const json = await runCli([...line, "--json"], { cwd });
        assert.equal(json.code, EXIT.usage, line.join(" "));
        assert.equal(problemIn(json).code, "USAGE");
      }
    });
});

describe("with --json and no farm", () => {
  for (const verb of TABLE.filter(({ name }) => !FARMS.has(name)))
    test(`${verb.name} prints exactly one document, and a failure is the problem of its exit code`, async () => {
      const words = [...verb.example.matchAll(/'([^']*)'|(\S+)/g)].map(
        ([, quoted, word]) => quoted ?? word ?? "",
      );
      const result = await runCli([...words.slice(1), "--json", ...NO_FARM], { cwd });
      // What doctor found is its result, whatever it found.
      if (result.code === EXIT.ok || verb.name === "doctor") documentIn(result);
      else assert.equal(ERROR_CODES[problemIn(result).code as keyof typeof ERROR_CODES].exit, result.code);
    });

  test("the help of a verb is its row of the table", async () => {
    for (const line of [
      ["hold", "--help"],
      ["help", "hold"],
    ]) {
      const result = await runCli([...line, "--json"], { cwd });
      const document = documentIn(result);
      const spec = (Array.isArray(document) ? document[0] : document) as VerbSpec;
      assert.equal(spec.name, "hold");
    }
  });
});

describe("help", () => {
  for (const columns of [40, 80])
    test(`fits a terminal of ${columns} columns, commands to copy aside`, () => {
      const pages = [renderOverview(columns), ...TABLE.map((verb) => renderVerbHelp(verb, columns))];
      for (const page of pages)
        for (const line of page.split("\n"))
          if (!/^ *(granary|npm) |^Also: |^Usage: /.test(line)) {
            const words = line.trim().split(" ");
            assert.ok(textWidth(line) <= columns || words.length === 1, line);
          }
    });
});

function documentIn({ stdout }: CliResult): unknown {
  assert.equal(stdout.indexOf("\n"), stdout.length - 1, `one line: ${stdout.slice(0, 300)}`);
  return JSON.parse(stdout);
}

function problemIn(result: CliResult): Problem {
  const problem = documentIn(result) as Problem;
  assert.ok(isErrorCode(problem.code), result.stdout);
  assert.ok(problem.detail.length > 0 && problem.hint.length > 0 && problem.title.length > 0, result.stdout);
  return problem;
}
