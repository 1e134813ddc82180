import assert from "node:assert/strict";
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CloudEvent } from "../../proto/events.ts";
import type {
  AuditJson,
  CurrentJson,
  FileJson,
  Problem,
  PublishJson,
  ReleaseJson,
} from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { type CliProcessOptions, type CliResult, runCli, runCliProcess } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { publishReady, storeStat } from "../helpers/farm-requests.ts";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { makeSampleTree } from "../helpers/sample-tree.ts";

const folder = tempDir("publish-command");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function granary(args: readonly string[], options: Parameters<typeof runCli>[1] = {}): Promise<CliResult> {
  return runCli(args, { ...options, env: { ...farmOf(), ...options.env } });
}

/** {@link granary} as a process of its own: for what comes through a pipe or ends with a signal. */
function granaryProcess(args: readonly string[], options: CliProcessOptions = {}): Promise<CliResult> {
  return runCliProcess(args, { ...options, env: { ...farmOf(), ...options.env } });
}

function farmOf(): Record<string, string> {
  return { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
}

/** Runs a verb with --json. @returns its document */
async function json<T>(args: readonly string[], run: typeof granary = granary): Promise<T> {
  const result = await run([...args, "--json"]);
  assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
  return JSON.parse(result.stdout) as T;
}

/** Writes a directory of files below the test's folder. */
function directory(name: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return join(folder, name);
}

describe("granary publish", { concurrency: 3 }, () => {
  test("publishes a directory, an archive file and stdin; all three are the same image", async () => {
    const app = directory("three", { "main.py": "print(1)\n" });
    const archive = appArchive({ "main.py": "print(1)\n" });
    writeFileSync(join(folder, "three.tar.gz"), archive);
    const one = await granaryProcess(["publish", app, "-p", "three", "--commit", "1111111"]);
    assert.equal(one.code, 0, one.stderr);
    const line = /^default\/three@v1 (\S+@sha256:[0-9a-f]{64})\n$/.exec(one.stdout);
    assert.ok(line !== null, one.stdout);
    const two = await granaryProcess([
      "publish",
      join(folder, "three.tar.gz"),
      "-p",
      "three",
      "--commit",
      "2222222",
      "-q",
    ]);
    assert.equal(two.stdout, `${line[1]}\n`, two.stderr);
    const three = await json<ReleaseJson>(["publish", "-", "-p", "three", "--commit", "3333333"], (args) =>
      granaryProcess(args, { stdin: archive }),
    );
    assert.deepEqual([three.version, three.image_ref], ["v3", line[1]]);
    const isEmpty = async () => ((await storeStat(farm)).inbox_bytes === 0 ? true : undefined);
    await eventually(isEmpty, 10_000, "what was sent is gone from the inbox");
  });

  test("the bundled examples publish as they are, and GRANARY_OUTPUT_FILE gets the release", async () => {
    for (const name of ["support-bot", "hello-node"]) {
      const output = join(folder, `${name}.json`);
      const result = await granary(
        ["publish", join(REPOSITORY_ROOT, "examples", name), "--commit", "abcdef0"],
        {
          env: { GRANARY_OUTPUT_FILE: output },
        },
      );
      assert.equal(result.code, 0, result.stderr);
      const release = JSON.parse(readFileSync(output, "utf8")) as ReleaseJson;
      assert.equal(release.project, name);
      assert.equal(result.stdout, `default/${name}@v1 ${release.image_ref}\n`);
    }
  });

  test("a wrong karta.toml is exit 2 with line and column, and a fixed one goes through", async () => {
    const app = directory("manifest", { "main.py": "", "karta.toml": 'name = "m"\n  entry_point = 5\n' });
    const result = await granary(["publish", app, "--commit", "1234567"]);
    assert.equal(result.code, 2, result.stderr);
    assert.match(result.stderr, /MANIFEST_INVALID/);
    assert.match(result.stderr, /entry_point/);
    assert.match(result.stderr, /karta\.toml:2:3/);
    // The same archive without the CLI's own check: the farm's answer is the same.
    const archive = appArchive({ "karta.toml": 'name = "m"\n  entry_point = 5\n' });
    const remote = await granary(["publish", "-", "-p", "manifest", "--commit", "1234567", "--json"], {
      stdin: archive,
    });
    assert.equal(remote.code, 2, remote.stderr);
    const problem = JSON.parse(remote.stdout) as Problem;
    assert.equal(problem.code, "MANIFEST_INVALID");
    assert.deepEqual([problem.params["line"], problem.params["column"]], [2, 3]);
    writeFileSync(join(app, "karta.toml"), 'name = "m"\nentry_point = "main:app"\n');
    const fixed = await json<ReleaseJson>(["publish", app, "--commit", "1234567"]);
    assert.deepEqual([fixed.project, fixed.entry_point], ["m", "main:app"]);
  });

  test("an unknown buildpack is exit 2 and names the known ones", async () => {
    const app = directory("buildpack", { "karta.toml": 'buildpack = "cobol"\n' });
    const result = await granary(["publish", app, "-p", "buildpack", "--commit", "1234567"]);
    assert.equal(result.code, 2, result.stderr);
    assert.match(result.stderr, /BUILDPACK_UNKNOWN.*cobol/s);
    assert.match(result.stderr, /python/);
  });

  test("an archive that is refused is exit 8, and so is a file that is none", async () => {
    for (const stdin of [Buffer.from("PK\x03\x04 not a tar"), appArchive({ "../evil": "x" })]) {
      const result = await granary(["publish", "-", "-p", "refused", "--commit", "1234567"], { stdin });
      assert.equal(result.code, 8, result.stderr);
      assert.match(result.stderr, /error ARCHIVE_[A-Z_]+:/);
    }
  });

  test("--no-activate leaves the pointer alone; --require-active then is exit 7", async () => {
    const app = directory("quiet", { a: "1" });
    await granary(["publish", app, "-p", "quiet", "--commit", "0000001"]);
    writeFileSync(join(app, "a"), "2");
    const ready = await granary(["publish", app, "-p", "quiet", "--commit", "0000002", "--no-activate"]);
    assert.equal(ready.code, 0, ready.stderr);
    assert.match(ready.stderr, /NOT live/);
    const strict = await granary([
      "publish",
      app,
      "-p",
      "quiet",
      "--commit",
      "0000002",
      "--no-activate",
      "--require-active",
      "--json",
    ]);
    assert.equal(strict.code, 7, strict.stderr);
    assert.equal((JSON.parse(strict.stdout) as Problem).code, "NOT_ACTIVATED");
    assert.equal((await json<CurrentJson>(["current", "default/quiet"])).version, "v1");
  });

  test("--no-wait prints the publish id, which wait follows to its end", async () => {
    const app = directory("later", { a: "later" });
    const sent = await granary(["publish", app, "-p", "later", "--commit", "0000001", "--no-wait"]);
    assert.equal(sent.code, 0, sent.stderr);
    const id = sent.stdout.trim();
    assert.match(id, /^pub_[0-9a-z]{26}$/);
    const waited = await granary(["wait", id]);
    assert.match(waited.stdout, /^default\/later@v1 /, waited.stderr);
    assert.equal((await json<PublishJson>(["status", id])).state, "ready");
  });

  test("a second publish of one commit says that nothing new was made", async () => {
    const app = directory("again", { a: "again" });
    const args = ["publish", app, "-p", "again", "--commit", "0000001"];
    await granary(args);
    const release = await json<ReleaseJson>(args);
    assert.deepEqual([release.version, release.existing], ["v1", true]);
    assert.equal((await json<CurrentJson>(["current", "default/again"])).generation, 1);
  });
});

describe("granary verify and plan", { concurrency: 3 }, () => {
  test("agree with the farm on a directory with everything that may be in one", async () => {
    const app = join(folder, "sample");
    mkdirSync(app);
    makeSampleTree(app, { longNames: true });
    for (const dependency of ["node_modules/left-pad", "api/vendor/lib", "py/site-packages/requests"])
      directory(`sample/${dependency}`, { "index.txt": dependency });
    symlinkSync("../left-pad", join(app, "node_modules/left-pad/self"));
    chmodSync(join(app, "node_modules/left-pad/index.txt"), 0o755);
    writeFileSync(join(app, "karta.toml"), 'entry_point = "main:app"\n');
    await agree(app, "sample");
  });

  for (const [name, files] of Object.entries({
    "one-file": { a: "x" },
    "only-dependencies": { "node_modules/a/index.js": "1" },
    "many-dependencies": Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`pkg${i}/vendor/lib.txt`, `${i}`]),
    ),
  })) {
    test(`agree with the farm on ${name}`, () => agree(directory(name, files), name));
  }

  async function agree(app: string, project: string): Promise<void> {
    const planned = await json<{ image_digest: string }>(["plan", app, "-p", project]);
    const release = await json<ReleaseJson>(["publish", app, "-p", project, "--commit", "1234567"]);
    assert.equal(planned.image_digest, release.image_digest, "plan predicts what publish makes");
    const offline = await runCli(["verify", app, "--image-ref", release.image_ref]);
    assert.equal(offline.code, 0, offline.stderr);
    assert.equal((await granary(["verify", app, `default/${project}@v1`])).code, 0);
    const copy = `${app}-copy`;
    cpSync(app, copy, { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(copy, "added.txt"), "one file more");
    const changed = await granary(["verify", copy, `default/${project}@v1`]);
    assert.equal(changed.code, 15, changed.stderr);
    assert.match(changed.stderr, /only here +added\.txt/);
  }
});

describe("what operators type", { concurrency: 3 }, () => {
  test("current, activate, rollback, hold and unhold, with generations and exit codes", async () => {
    for (let i = 1; i <= 3; i++)
      await publishReady(farm, "ops", appArchive({ v: `${i}` }), { query: { commit: `${i}`.repeat(8) } });
    const now = await json<CurrentJson>(["current", "default/ops"]);
    assert.deepEqual([now.version, now.generation], ["v3", 3]);
    const stale = await granary(["activate", "default/ops@v1", "--expect-generation", "2", "--json"]);
    assert.equal(stale.code, 7, stale.stderr);
    const problem = JSON.parse(stale.stdout) as Problem;
    assert.deepEqual(
      [problem.code, problem.params["generation"], problem.params["current"]],
      ["GENERATION_STALE", 3, "v3"],
    );
    assert.equal((await granary(["activate", "default/ops@v1", "--expect-generation", "3"])).code, 0);
    assert.equal((await granary(["activate", "default/ops@33333333"])).code, 0);
    const back = await granary(["rollback", "default/ops", "--reason", "errors"]);
    assert.equal(back.code, 0, back.stderr);
    assert.match(back.stdout + back.stderr, /v3.*v1|v1.*v3/s);
    assert.match(back.stderr + back.stdout, /granary activate default\/ops@v3/);
    const held = await granary([
      "publish",
      directory("ops", { v: "4" }),
      "-p",
      "ops",
      "--commit",
      "4".repeat(8),
      "--require-active",
    ]);
    assert.equal(held.code, 7, held.stderr);
    assert.match(held.stderr, /held/);
    assert.equal((await granary(["unhold", "default/ops"])).code, 0);
    assert.equal((await granary(["activate", "default/ops@v4"])).code, 0);
    assert.equal((await granary(["activate", "default/ops@v9"])).code, 6);
    const audit = await json<AuditJson[]>(["audit", "default/ops"]);
    assert.ok(audit.some((row) => !row.ok && row.code === "GENERATION_STALE"));
    assert.ok(audit.some((row) => row.action === "rollback" && row.reason === "errors"));
  });

  test("show finds a release by the beginning of its commit; files lists what is in it", async () => {
    await publishReady(farm, "looked-at", appArchive({ "a.txt": "abc" }), {
      query: { commit: "feedc0ffee" },
    });
    assert.equal((await json<ReleaseJson>(["show", "default/looked-at@feedc0f"])).version, "v1");
    assert.equal((await granary(["show", "default/looked-at@0000000"])).code, 6);
    const files = await json<FileJson[]>(["files", "default/looked-at@v1"]);
    assert.deepEqual(
      files.map((file) => [file.path, file.size]),
      [["a.txt", 3]],
    );
  });

  test("event tail is taken up behind a cursor without a gap or a repeat", async () => {
    for (let i = 1; i <= 3; i++) await publishReady(farm, "tailed", appArchive({ v: `${i}` }));
    const all = await json<CloudEvent[]>(["event", "ls", "-p", "default/tailed", "--limit", "100"]);
    const cut = all[4]?.granarycursor ?? "";
    let output = "";
    let stop: () => void = () => undefined;
    const tail = granaryProcess(["event", "tail", "-p", "default/tailed", "--from", cut, "--json"], {
      onStart: (child) => {
        child.stdout?.on("data", (chunk: Buffer) => {
          output += chunk.toString("utf8");
        });
        stop = () => child.kill("SIGINT");
      },
    });
    const lines = (): CloudEvent[] =>
      output
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as CloudEvent);
    await eventually(
      () => (lines().length >= all.length - 5 ? true : undefined),
      20_000,
      "the tail caught up",
    );
    await publishReady(farm, "tailed", appArchive({ v: "4" }));
    const isLive = (event: CloudEvent): boolean =>
      event.type.includes("release.activated") && event.subject === "v4";
    await eventually(() => (lines().some(isLive) ? true : undefined), 20_000, "the tail follows");
    stop();
    await tail;
    const numbers = lines().map((event) => Number(event.sequence));
    assert.equal(numbers[0], 6, "it begins behind the cursor");
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => 6 + i),
    );
  });
});
