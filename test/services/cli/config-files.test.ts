import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

test("config check takes the configuration file of a farm, as up would, and config print shows what it sets", async () => {
  const cwd = tempFolder();
  const file = path.join(cwd, "farm.toml");
  writeFileSync(file, 'port = 7000\nlabels = { zone = "a" }\n');
  const valid = await runCli(["config", "check", "farm.toml"], { cwd });
  assert.equal(valid.code, 0, valid.stdout);
  assert.match(valid.stdout, /^ok +\S+farm\.toml: a farm's settings/m);
  const printed = await runCli(["config", "print", "farm.toml", "--json"], { cwd });
  const settings = JSON.parse(printed.stdout);
  assert.deepEqual(settings.port, { value: 7000, source: file });
  assert.deepEqual(settings.listen, { value: null, source: "default" });
  for (const [text, wrong] of [
    ["port = 7000\nprot = 1\n", /farm\.toml: prot: is not known here$/m],
    ["[limits]\nentriez = 1\n", /farm\.toml: limits\.entriez: is not known here$/m],
    ['port = "x"\n', /port: /],
    ['node = "Not A Name"\n', /node: /],
    ["port = 7000\nnode =\n", /farm\.toml: 2:7: /],
  ] as const) {
    writeFileSync(file, text);
    for (const verb of ["check", "print"] as const) {
      const { code, stdout, stderr } = await runCli(["config", verb, "farm.toml"], { cwd });
      assert.equal(code, 4, `${verb} ${text}`);
      assert.match(stdout + stderr, wrong);
    }
    const configured = await runCli(["config", "check"], { cwd, env: { GRANARY_CONFIG: file } });
    assert.equal(configured.code, 4, text);
  }
  assert.equal((await runCli(["config", "check", "farn.toml"], { cwd })).code, 4, "a file that is not there");
  const up = await runCli(["up", "--config", "farn.toml"], { cwd });
  assert.match(up.stderr, /^error CONFIG_INVALID: \S*farn\.toml: there is no such file$/m);
});

test("a context that nobody saved is not there, whatever it is called", async () => {
  const { code, stderr } = await runCli(["context", "use", "constructor"]);
  assert.equal(code, 6, stderr);
  assert.match(stderr, /no context "constructor"/);
});
