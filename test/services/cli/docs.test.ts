import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ERROR_CODES, EXIT } from "../../../proto/errors.ts";
import type { VerbSpec } from "../../../proto/verb-spec.ts";
import { VERBS } from "../../../proto/verbs.ts";
import { exitName } from "../../../services/cli/help/exit-name.ts";
import { renderCliPage } from "../../../services/cli/help/render-cli-page.ts";
import { renderCompletions, SHELLS } from "../../../services/cli/help/render-completions.ts";
import { renderErrorsPage } from "../../../services/cli/help/render-errors-page.ts";
import { renderOverview, renderVerbHelp } from "../../../services/cli/help/render-help.ts";
import { VERB_HANDLERS } from "../../../services/cli/verb-handlers.ts";
import { REPOSITORY_ROOT } from "../../helpers/repository-root.ts";

const TABLE: readonly VerbSpec[] = VERBS;

test("docs/errors.md is the page that the catalogue makes", () => {
  assert.equal(readFileSync(path.join(REPOSITORY_ROOT, "docs/errors.md"), "utf8"), renderErrorsPage());
});

test("docs/cli.md is the page that the table of verbs makes", () => {
  assert.equal(readFileSync(path.join(REPOSITORY_ROOT, "docs/cli.md"), "utf8"), renderCliPage());
});

test("every verb of the table can be loaded, and nothing else can", async () => {
  assert.deepEqual(Object.keys(VERB_HANDLERS).sort(), TABLE.map((verb) => verb.name).sort());
  for (const load of Object.values(VERB_HANDLERS)) assert.equal(typeof (await load()), "function");
});

test("every verb's help names its arguments, its flags and an example", () => {
  for (const verb of TABLE) {
    const help = renderVerbHelp(verb);
    for (const arg of verb.args ?? []) assert.ok(help.includes(arg.name), `${verb.name} ${arg.name}`);
    for (const flag of verb.flags ?? [])
      assert.ok(help.includes(`--${flag.name}`), `${verb.name} --${flag.name}`);
    assert.ok(help.includes(verb.example), verb.name);
    assert.ok(renderOverview().includes(`  ${verb.name}`), verb.name);
  }
});

test("completions of every shell know every verb and flag", () => {
  for (const shell of SHELLS) {
    const script = renderCompletions(shell);
    for (const verb of TABLE) {
      for (const word of verb.name.split(" ")) assert.ok(script.includes(word), `${shell}: ${verb.name}`);
      for (const flag of verb.flags ?? []) assert.ok(script.includes(flag.name), `${shell}: --${flag.name}`);
    }
  }
});

test("every code is in one part of the catalogue, every verb in one part of the table", async () => {
  assert.deepEqual(
    (await partsOf("error-codes")).flatMap(Object.keys).sort(),
    Object.keys(ERROR_CODES).sort(),
  );
  const verbs = (await partsOf("verbs")).filter(Array.isArray).flat() as VerbSpec[];
  assert.deepEqual(verbs.map(({ name }) => name).sort(), TABLE.map(({ name }) => name).sort());
});

test("every exit code of the catalogue has a name, and every code a known exit", () => {
  for (const exit of Object.values(EXIT)) assert.notEqual(exitName(exit), "unknown", String(exit));
  for (const [code, spec] of Object.entries(ERROR_CODES))
    assert.notEqual(exitName(spec.exit), "unknown", code);
});

test("hints and help name no verb that does not exist", () => {
  const known = new Set(
    TABLE.flatMap((verb) => [verb.name, ...(verb.aliases ?? [])]).flatMap((words) => [
      words,
      words.split(" ")[0] ?? "",
    ]),
  );
  const text = [...TABLE.map((verb) => renderVerbHelp(verb)), renderOverview()].join("\n");
  for (const [, verb = ""] of text.matchAll(/`granary ([a-z]+)/g)) assert.ok(known.has(verb), verb);
});

/** What the files of a folder of proto/ export; a code that two of them have would be one in the table, without a word. */
async function partsOf(folder: string): Promise<object[]> {
  const root = new URL(`../../../proto/${folder}/`, import.meta.url);
  const files = readdirSync(root).filter((file) => file.endsWith(".js"));
  const parts = await Promise.all(files.map((file) => import(new URL(file, root).href)));
  return parts.flatMap((part) => Object.values<object>(part));
}
