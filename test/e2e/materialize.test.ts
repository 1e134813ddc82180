import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { after, before, describe, test } from "node:test";
import type { MaterializedJson } from "../../proto/http.ts";
import type { FsckJson, StoreJson } from "../../proto/http-store.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { waitUntil } from "../helpers/wait-until.ts";

/** Releases as folders: on the farm's disk, where a project's roots share unchanged files, and wherever a client wants them. */
const folder = tempDir("materialize");
const data = join(folder, "data");
const app = join(folder, "app");
let farm: TestFarm;

before(async () => {
  mkdirSync(join(app, "lib", "empty"), { recursive: true });
  writeFileSync(join(app, "main.sh"), "#!/bin/sh\necho hello\n");
  chmodSync(join(app, "main.sh"), 0o755);
  for (let i = 0; i < 200; i++) writeFileSync(join(app, "lib", `module-${i}.js`), `export const n = ${i};\n`);
  writeFileSync(join(app, "lib", "copy of module 7"), "export const n = 7;\n");
  symlinkSync("lib/module-1.js", join(app, "link.js"));
  writeFileSync(join(app, "big.bin"), Buffer.alloc(9_000_000, "granary"));
  farm = await startTestFarm({ data });
  await publish("v1");
  writeFileSync(join(app, "lib", "module-3.js"), "export const n = 333;\n");
  chmodSync(join(app, "lib", "module-4.js"), 0o755);
  await publish("v2");
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

async function cli(...args: string[]): ReturnType<typeof runCli> {
  return runCli(args, { cwd: folder, env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token } });
}

async function publish(version: string): Promise<void> {
  const commit = version.charCodeAt(1).toString(16).repeat(20);
  const result = await cli("publish", app, "-p", "default/app", "--commit", commit);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, new RegExp(`default/app@${version} `));
}

async function onFarm(ref: string, token = farm.token): Promise<MaterializedJson> {
  const path = `/v1/orgs/default/projects/app/releases/${encodeURIComponent(ref)}:materialize`;
  return farm.json<MaterializedJson>(path, { method: "POST", token });
}

/** What a folder holds, in words. */
function describeTree(dir: string, prefix = ""): string[] {
  return readdirSync(join(dir, prefix))
    .sort()
    .flatMap((name) => {
      const path = join(prefix, name);
      const stat = lstatSync(join(dir, path));
      if (stat.isSymbolicLink()) return [`${path} -> ${readlinkSync(join(dir, path))}`];
      if (stat.isDirectory()) return [`${path}/`, ...describeTree(dir, path)];
      const content = readFileSync(join(dir, path)).toString("base64").slice(0, 64);
      return [`${path} ${(stat.mode & 0o100) !== 0} ${stat.size} ${content}`];
    });
}

describe("granary materialize REF DIR", () => {
  test("writes exactly the published files, read-only", async () => {
    const out = join(folder, "out");
    const result = await cli("materialize", "default/app@v2", "out");
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.stdout, `${out}\n`);
    assert.deepEqual(describeTree(out), describeTree(app));
    assert.equal(lstatSync(join(out, "main.sh")).mode & 0o777, 0o555);
    assert.equal(lstatSync(join(out, "lib", "module-1.js")).mode & 0o777, 0o444);
    assert.ok(!readdirSync(folder).some((name) => name.startsWith(".out")));
  });

  test("checks a folder that has the release already and leaves it alone", async () => {
    const again = await cli("materialize", "default/app@v2", "out", "--json");
    assert.equal(again.code, 0, again.stderr);
    assert.equal((JSON.parse(again.stdout) as { existing: boolean }).existing, true);
  });

  test("refuses a folder with other content, and one that was changed since, naming a file", async () => {
    const other = await cli("materialize", "default/app@v1", "out");
    assert.equal(other.code, 7);
    assert.match(other.stderr, /module-/);
    chmodSync(join(folder, "out", "main.sh"), 0o755);
    appendFileSync(join(folder, "out", "main.sh"), "#");
    const changed = await cli("materialize", "default/app@v2", "out");
    assert.equal(changed.code, 7);
    assert.match(changed.stderr, /main\.sh/);
  });

  test("of a release that does not exist leaves nothing behind", async () => {
    const before = readdirSync(folder);
    const result = await cli("materialize", "default/app@v99", "nothing");
    assert.equal(result.code, 6);
    assert.deepEqual(readdirSync(folder), before);
  });
});

describe("a root on the farm's disk", () => {
  test("is the published tree; the next one shares every unchanged file and writes the others", async () => {
    const first = await onFarm("v1");
    assert.deepEqual([first.existing, first.linked, first.written], [false, 1, 202]);
    const second = await onFarm("v2");
    assert.deepEqual([second.existing, second.linked, second.written], [false, 201, 2]);
    assert.deepEqual(describeTree(second.path), describeTree(app));
    const inode = (path: string, name: string) => lstatSync(join(path, name)).ino;
    assert.equal(inode(first.path, "lib/module-9.js"), inode(second.path, "lib/module-9.js"));
    assert.notEqual(inode(first.path, "lib/module-3.js"), inode(second.path, "lib/module-3.js"));
    assert.notEqual(inode(first.path, "lib/module-4.js"), inode(second.path, "lib/module-4.js"));
    assert.equal(readlinkSync(join(data, "roots", "default", "app", "v2")), second.tree.slice(7));
  });

  test("is made once, however many ask for it", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => onFarm("v2")));
    assert.ok(all.every(({ existing }) => existing));
  });

  test("of a project is shared with no other project", async () => {
    const result = await cli("publish", app, "-p", "default/twin", "--commit", "abcdef1");
    assert.equal(result.code, 0, result.stderr);
    const twin = await farm.json<MaterializedJson>("/v1/orgs/default/projects/twin/releases/v1:materialize", {
      method: "POST",
    });
    // Two files of this tree are equal.
    assert.equal(twin.linked, 1);
    assert.notEqual(
      lstatSync(join(twin.path, "main.sh")).ino,
      lstatSync(join((await onFarm("v2")).path, "main.sh")).ino,
    );
  });

  test("that somebody wrote into is no source of links", async () => {
    const { path } = await onFarm("v2");
    const victim = join(path, "lib", "module-5.js");
    chmodSync(victim, 0o644);
    writeFileSync(victim, "export const n = 6;\n");
    chmodSync(victim, 0o444);
    writeFileSync(join(app, "lib", "module-8.js"), "export const n = 888;\n");
    await publish("v3");
    const third = await onFarm("v3");
    assert.equal(readFileSync(join(third.path, "lib", "module-5.js"), "utf8"), "export const n = 5;\n");
    assert.deepEqual(describeTree(third.path), describeTree(app));
  });

  test("from before the machine's last start is read again, and made anew when it is damaged", async () => {
    const { path } = await onFarm("v3");
    const victim = join(path, "lib", "module-6.js");
    chmodSync(victim, 0o644);
    writeFileSync(victim, "export const n = 7;\n");
    chmodSync(victim, 0o444);
    // As a torn write would: nothing but the content tells.
    utimesSync(victim, 0, 0);
    writeFileSync(`${path}.json`, JSON.stringify({ boot: "another start" }));
    assert.equal((await onFarm("v3")).existing, false);
    assert.equal(readFileSync(victim, "utf8"), "export const n = 6;\n");
    writeFileSync(`${path}.json`, JSON.stringify({ boot: "another start" }));
    assert.equal((await onFarm("v3")).existing, true);
  });

  test("that is damaged is named by a check and by the scrub, is no source of links from then on, and a repair makes it anew", async () => {
    writeFileSync(join(app, "lib", "module-10.js"), "export const n = 1010;\n");
    await publish("v4");
    const { path } = await onFarm("v3");
    const fourth = await onFarm("v4");
    const victim = join(path, "lib", "module-9.js");
    assert.equal(lstatSync(victim).ino, lstatSync(join(fourth.path, "lib", "module-9.js")).ino);
    const damage = (): void => {
      chmodSync(victim, 0o644);
      writeFileSync(victim, "export const n = 8;\n");
      chmodSync(victim, 0o444);
      // As a bit that flips would: nothing but the content tells.
      utimesSync(victim, 0, 0);
    };
    const named = (root: string, file: string): string =>
      `${relative(join(data, "roots"), root)}/lib/${file}`;

    damage();
    const found = await cli("store", "fsck", "--json");
    assert.equal(found.code, 3, found.stderr);
    const report = JSON.parse(found.stdout) as FsckJson;
    assert.deepEqual([report.corrupt, report.missing], [0, 0]);
    // Modules 5 and 6 were damaged by the tests above; v3 was made anew then, and nobody has asked for the others since.
    const damaged = [
      ...[path, fourth.path].map((root) => named(root, "module-9.js")),
      ...["v1", "v2"].flatMap((version) =>
        ["module-5.js", "module-6.js"].map((file) => named(realpathSync(join(path, "..", version)), file)),
      ),
    ];
    assert.deepEqual([...report.broken_root_paths].sort(), damaged.sort());

    writeFileSync(join(app, "lib", "module-11.js"), "export const n = 1111;\n");
    await publish("v5");
    assert.deepEqual(describeTree((await onFarm("v5")).path), describeTree(app));

    const repaired = await cli("store", "fsck", "--repair", "--json");
    assert.equal(repaired.code, 0, repaired.stdout);
    assert.equal((JSON.parse(repaired.stdout) as FsckJson).repaired?.remade_roots, 4);
    assert.equal(readFileSync(victim, "utf8"), "export const n = 9;\n");
    assert.equal((await cli("store", "fsck")).code, 0);

    assert.equal(await farm.stop(), 0);
    damage();
    rmSync(join(data, "scrub.json"), { force: true });
    farm = await startTestFarm({ data });
    const scrub = async () => (await farm.json<StoreJson>("/v1/store")).scrub.last;
    await waitUntil("the scrub has read all", 60_000, async () => (await scrub()) !== null);
    assert.equal((await scrub())?.found.broken_roots, 1);
    assert.equal((await onFarm("v3")).existing, false, "it is read again, and made anew");
    assert.equal(readFileSync(victim, "utf8"), "export const n = 9;\n");
  });

  test("that has lost a file, has one too many, or one that was written to, is made anew for who asks for it", async () => {
    const { path } = await onFarm("v4");
    const whole = describeTree(path);
    const spoil: readonly (() => void)[] = [
      () => unlinkSync(join(path, "lib", "module-7.js")),
      () => writeFileSync(join(path, "lib", "extra.js"), ""),
      () => chmodSync(join(path, "main.sh"), 0o777),
    ];
    for (const doIt of spoil) {
      doIt();
      assert.equal((await onFarm("v4")).existing, false, String(doIt));
      assert.deepEqual(describeTree(path), whole);
      assert.equal((await onFarm("v4")).existing, true);
    }
  });

  test("is for those who run the farm", async () => {
    const { token } = await farm.json<{ token: string }>("/v1/orgs/default/tokens", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ scopes: ["admin"] }),
    });
    await assert.rejects(onFarm("v1", token), /403 .*FORBIDDEN/);
  });

  test("goes when its release is retired", async () => {
    const { path } = await onFarm("v1");
    await farm.json("/v1/orgs/default/projects/app/releases/v1:retire", { method: "POST" });
    await assert.rejects(onFarm("v1"), /RELEASE_RETIRED/);
    assert.equal(await farm.stop(), 0);
    farm = await startTestFarm({ data });
    for (let i = 0; i < 100 && existsSync(path); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(!existsSync(path));
    assert.ok(!existsSync(join(data, "roots", "default", "app", "v1")));
    assert.ok(existsSync(join(data, "roots", "default", "app", "v3", "main.sh")));
  });
});
