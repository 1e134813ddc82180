import assert from "node:assert/strict";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import {
  contextsFile,
  readContexts,
  saveContext,
  useContext,
} from "../../../services/cli/config/contexts.ts";
import { resolveSettings, type Settings } from "../../../services/cli/config/settings.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

test("url and token come from flag, environment, .granary.toml, context, default", () => {
  const env = home();
  assert.equal(resolve({ env }).url.value, "http://127.0.0.1:7421");
  saveContext(env, "local", { url: "http://local:1", token: "t-local" });
  const directory = project('url = "http://file:1"\n');
  const full = { ...env, GRANARY_URL: "http://env:1", GRANARY_TOKEN: "t-env" };
  assert.deepEqual(
    pick(resolve({ env: full, directory, flags: { url: "http://flag:1/", token: "t-flag" } })),
    ["http://flag:1", "t-flag"],
  );
  assert.deepEqual(pick(resolve({ env: full, directory })), ["http://env:1", "t-env"]);
  assert.deepEqual(pick(resolve({ env: { ...env, GRANARY_TOKEN: "t-env" }, directory })), [
    "http://file:1",
    "t-env",
  ]);
  assert.deepEqual(pick(resolve({ env })), ["http://local:1", "t-local"]);
});

test("a saved token is sent only to the url that it was saved with", () => {
  const env = home();
  saveContext(env, "local", { url: "http://local:1", token: "t-local" });
  const hostile = project('url = "http://evil:1"\n');
  assert.equal(resolve({ env, directory: hostile }).token, undefined);
  assert.equal(resolve({ env, flags: { url: "http://elsewhere:1" } }).token, undefined);
  assert.equal(resolve({ env, flags: { url: "http://local:1" } }).token?.value, "t-local");
});

test("a context can be named by flag, environment and .granary.toml", () => {
  const env = home();
  saveContext(env, "prod", { url: "http://prod:1", token: "t-prod", org: "acme" });
  saveContext(env, "local", { url: "http://local:1", token: "t-local" });
  for (const settings of [
    resolve({ env, flags: { context: "prod" } }),
    resolve({ env: { ...env, GRANARY_CONTEXT: "prod" } }),
    resolve({ env, directory: project('context = "prod"\n') }),
  ]) {
    assert.deepEqual(pick(settings), ["http://prod:1", "t-prod"]);
    assert.equal(settings.org, "acme");
  }
  assert.throws(() => resolve({ env, flags: { context: "nope" } }), hasCode("NOT_FOUND"));
});

test(".granary.toml is found in a parent and read strictly", () => {
  const env = home();
  const directory = project('project = "acme/bot"\n');
  const below = path.join(directory, "a/b");
  mkdirSync(below, { recursive: true });
  assert.equal(resolve({ env, directory: below }).project?.value, "acme/bot");
  assert.equal(resolve({ env: { ...env, GRANARY_PROJECT: "x" }, directory: below }).project?.value, "x");
  for (const text of [
    'token = "secret"\n',
    'projekt = "x"\n',
    'url = "file:///etc"\n',
    "url = 1\n",
    "= broken\n",
  ]) {
    assert.throws(() => resolve({ env, directory: project(text) }), hasCode("CONFIG_INVALID"), text);
  }
});

test("contexts are kept in a file that only its owner can read, and replace each other by name", () => {
  const env = home();
  saveContext(env, "a", { url: "http://a:1", token: "1" });
  saveContext(env, "b", { url: "http://b:1", token: "2" });
  saveContext(env, "a", { url: "http://a:2", token: "3" });
  assert.equal(statSync(contextsFile(env)).mode & 0o777, 0o600);
  const saved = readContexts(env);
  assert.equal(saved.current, "a");
  assert.deepEqual(Object.keys(saved.contexts), ["a", "b"]);
  assert.equal(saved.contexts["a"]?.url, "http://a:2");
  useContext(env, "b");
  assert.equal(readContexts(env).current, "b");
  assert.throws(() => useContext(env, "c"), hasCode("NOT_FOUND"));
  assert.throws(() => saveContext(env, "../x", { url: "http://x:1" }), hasCode("NAME_INVALID"));
  assert.doesNotMatch(readFileSync(contextsFile(env), "utf8"), /\.tmp/);
});

function resolve(options: {
  env: Readonly<Record<string, string>>;
  directory?: string;
  flags?: Readonly<Record<string, string>>;
}): Settings {
  return resolveSettings({
    flag: (name) => options.flags?.[name],
    env: options.env,
    directory: options.directory ?? tempFolder(),
  });
}

function pick(settings: Settings): [string, string | undefined] {
  return [settings.url.value, settings.token?.value];
}

function home(): Readonly<Record<string, string>> {
  return { XDG_CONFIG_HOME: tempFolder() };
}

function project(text: string): string {
  const directory = tempFolder();
  writeFileSync(path.join(directory, ".granary.toml"), text);
  return directory;
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GranaryError && error.code === code;
}
