import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { REPOSITORY_ROOT } from "../../helpers/repository-root.ts";

/** What is loaded before a line of the entry runs. Type imports are gone by then, dynamic ones wait. */
function loaded(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  if (!entry.endsWith(".ts")) return seen;
  const source = readFileSync(entry, "utf8");
  for (const [, what = "", from = ""] of source.matchAll(/^(?:import|export) ([^;]*?)from "([^"]+)";$/gms)) {
    const isTypeOnly = what.startsWith("type ") || /^\{(?:\s*type \w+,?)*\s*\}\s*$/.test(what);
    if (!isTypeOnly) loaded(from.startsWith(".") ? resolve(dirname(entry), from) : from, seen);
  }
  return seen;
}

test("what every command loads, and what publishing an archive adds, has no library of schemas in it", () => {
  const cli = join(REPOSITORY_ROOT, "services/cli");
  for (const entry of ["main.ts", "verbs/publish.ts", "verbs/status.ts", "verbs/activate.ts"]) {
    const files = loaded(join(cli, entry));
    assert.ok(files.size > 5, `${entry} imports something`);
    for (const heavy of ["zod", join(REPOSITORY_ROOT, "store/open-lmdb.ts"), "@nats-io/nats-core", "piscina"])
      assert.equal(files.has(heavy), false, `${entry} loads ${heavy}`);
  }
});
