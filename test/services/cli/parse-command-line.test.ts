import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import type { VerbSpec } from "../../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS } from "../../../proto/verbs.ts";
import { parseCommandLine } from "../../../services/cli/parse-command-line.ts";

const TABLE: readonly VerbSpec[] = VERBS;

for (const verb of TABLE) {
  test(`the example of ${verb.name} is a command line for it`, () => {
    const [program, ...words] = splitWords(verb.example);
    assert.equal(program, "granary");
    assert.equal(parseCommandLine(words).verb, verb.name);
  });
}

test("every name and alias leads to its verb, and none to two", () => {
  const seen = new Set<string>();
  for (const verb of TABLE) {
    for (const words of [verb.name, ...(verb.aliases ?? [])]) {
      assert.ok(!seen.has(words), words);
      seen.add(words);
      const args = (verb.args ?? []).filter((arg) => !arg.optional).map(() => "x");
      assert.equal(parseCommandLine([...words.split(" "), ...args]).verb, verb.name, words);
    }
  }
});

// A verb whose own --url hid the farm's sent the request, and the token with it, there.
test("no verb has a flag or a short letter twice, or one that every verb takes", () => {
  for (const verb of TABLE) {
    const flags = [...(verb.flags ?? []), ...GLOBAL_FLAGS];
    const names = flags.flatMap((flag) => [
      `--${flag.name}`,
      ...(flag.short === undefined ? [] : [`-${flag.short}`]),
    ]);
    assert.equal(new Set(names).size, names.length, verb.name);
  }
});

test("flags stand anywhere, with a space or an equals sign, short ones too", () => {
  const line = parseCommandLine([
    "--json",
    "--url",
    "http://x",
    "publish",
    "dir",
    "-p",
    "acme/bot",
    "--commit=abc",
    "-q",
  ]);
  assert.equal(line.verb, "publish");
  assert.deepEqual(line.args, ["dir"]);
  assert.deepEqual(line.flags.get("project"), ["acme/bot"]);
  assert.deepEqual(line.flags.get("commit"), ["abc"]);
  assert.deepEqual(line.flags.get("url"), ["http://x"]);
  assert.ok(line.flags.has("json") && line.flags.has("quiet"));
});

test("a list flag may be repeated, a text flag may not", () => {
  assert.deepEqual(parseCommandLine(["up", "--label", "a=1", "--label", "b=2"]).flags.get("label"), [
    "a=1",
    "b=2",
  ]);
  assert.match(refused(["publish", "--commit", "a", "--commit", "b"]), /twice/);
});

test("what stands behind -- is an argument", () => {
  assert.deepEqual(parseCommandLine(["publish", "--", "--odd"]).args, ["--odd"]);
});

test("a slip of the finger gets a suggestion", () => {
  assert.match(refused(["pubish"]), /did you mean `granary publish`/);
  assert.match(refused(["publish", "--comit", "x"]), /did you mean --commit/);
  assert.match(refused(["event", "tali"]), /did you mean `granary event tail`/);
  assert.match(refused(["token"]), /token create, token ls, token rm/);
  assert.match(refused(["xyzzy"]), /granary help/);
});

test("missing and superfluous arguments, values and flags are usage errors", () => {
  assert.match(refused(["current"]), /O\/P is missing/);
  assert.match(refused(["current", "a/b", "c"]), /one argument too many/);
  assert.match(refused(["publish", "--commit"]), /wants a value/);
  assert.match(refused(["publish", "--commit", "--json"]), /--commit=VALUE/);
  assert.match(refused(["publish", "--json=yes"]), /takes no value/);
});

test("no verb at all shows the help, and --version the version", () => {
  assert.equal(parseCommandLine([]).verb, "help");
  assert.equal(parseCommandLine(["-h"]).verb, "help");
  assert.equal(parseCommandLine(["--version"]).verb, "version");
});

function refused(words: readonly string[]): string {
  try {
    parseCommandLine(words);
  } catch (error) {
    if (error instanceof GranaryError && error.code === "USAGE") return error.message;
    throw error;
  }
  return assert.fail(`${words.join(" ")} was accepted`);
}

function splitWords(text: string): string[] {
  return [...text.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
}
