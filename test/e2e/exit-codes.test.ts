import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { EXIT } from "../../proto/errors.ts";
import type { Problem, PublishJson } from "../../proto/http.ts";
import { exitName } from "../../services/cli/help/exit-name.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { type CliProcessOptions, type CliResult, runCliProcess } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";

const folder = tempDir("exit-codes");
const data = join(folder, "data");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data, args: ["--threads", "1"] });
  await publishReady(farm, "app", appArchive({ v: "1" }));
  await publishReady(farm, "app", appArchive({ v: "2" }));
  await publishReady(farm, "full", appArchive({ v: "1" }));
  await publishReady(farm, "newest", appArchive({ v: "1" }));
  await send(farm, `${projectUrl("full")}/settings`, { method: "PUT", json: { quota_bytes: 1 } });
  await send(farm, `${projectUrl("newest")}/settings`, { method: "PUT", json: { overtake: true } });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function granary(args: readonly string[], options: CliProcessOptions = {}): Promise<CliResult> {
  return runCliProcess(args, {
    ...options,
    env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token, GRANARY_COMMIT: "abcdef1", ...options.env },
  });
}

/** Publishes an archive that nobody has sent before. */
function send1(project: string, args: readonly string[] = [], content = `${project} ${args}`) {
  return granary(["publish", "-", "-p", project, ...args], { stdin: appArchive({ content }) });
}

function directory(files: Readonly<Record<string, string>>): string {
  const path = join(folder, `dir-${Object.keys(files).join("-")}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

/** While it is, what is published waits. */
async function setCordoned(cordoned: boolean): Promise<void> {
  await send(farm, "/v1/nodes/local", { method: "PUT", json: { cordoned } });
}

async function queued(project: string, content: string): Promise<string> {
  const accepted = await publish(farm, project, appArchive({ content }));
  assert.equal(accepted.status, 202, accepted.text);
  return accepted.body.publish_id;
}

interface Case {
  readonly exit: number;
  /** The problem's code; none where the command line succeeds. */
  readonly code?: string;
  readonly when: string;
  /** It is about a publish that waits: no node takes jobs meanwhile. */
  readonly waiting?: true;
  readonly run: () => Promise<CliResult>;
}

/** One line for each way to end that scripts may rely on, by the real command line on a real farm. */
const CASES: readonly Case[] = [
  { exit: EXIT.ok, when: "a publish that goes live", run: () => send1("new") },
  { exit: EXIT.ok, when: "a publish that is ready but not live", run: () => send1("app", ["--no-activate"]) },
  {
    exit: EXIT.other,
    code: "CAPABILITY_MISSING",
    when: "what this build cannot do",
    run: () => granary(["serve", "api", "--json", "--data", join(folder, "other")]),
  },
  {
    exit: EXIT.manifest,
    code: "MANIFEST_INVALID",
    when: "a directory with a broken karta.toml",
    run: () => granary(["publish", directory({ "karta.toml": "[karta\n" }), "-p", "app", "--json"]),
  },
  {
    exit: EXIT.manifest,
    code: "BUILDPACK_UNKNOWN",
    when: "an archive whose buildpack nobody knows, found out by the farm",
    run: () =>
      granary(["publish", "-", "-p", "app", "--json"], {
        stdin: appArchive({ "karta.toml": 'buildpack = "cobol"\n' }),
      }),
  },
  {
    exit: EXIT.store,
    code: "DATA_IN_USE",
    when: "a second farm on one data folder",
    run: () => runCliProcess(["up", "--data", data, "--port", "0", "--json"]),
  },
  {
    exit: EXIT.usage,
    code: "USAGE",
    when: "a flag that does not exist",
    run: () => granary(["publish", "--nowait", "--json"]),
  },
  {
    exit: EXIT.usage,
    code: "COMMIT_REQUIRED",
    when: "no commit in CI",
    run: () =>
      granary(["publish", "-", "-p", "app", "--json"], {
        stdin: appArchive({ a: "1" }),
        env: { CI: "true", GRANARY_COMMIT: "" },
      }),
  },
  {
    exit: EXIT.unauthorized,
    code: "UNAUTHENTICATED",
    when: "a token that is none",
    run: () => granary(["projects", "--token", `${farm.token}x`, "--json"]),
  },
  {
    exit: EXIT.notFound,
    code: "NOT_FOUND",
    when: "a release that is not there",
    run: () => granary(["show", "app@v99", "--json"]),
  },
  {
    exit: EXIT.conflict,
    code: "GENERATION_STALE",
    when: "another generation than was expected",
    run: () => granary(["activate", "app@v1", "--expect-generation", "0", "--json"]),
  },
  {
    exit: EXIT.conflict,
    code: "NOT_ACTIVATED",
    when: "ready, but not live, with --require-active",
    run: () => send1("app", ["--no-activate", "--require-active", "--json"]),
  },
  {
    exit: EXIT.archive,
    code: "ARCHIVE_PATH_TRAVERSAL",
    when: "an archive that climbs out",
    run: () => granary(["publish", "-", "-p", "app", "--json"], { stdin: appArchive({ "../evil": "x" }) }),
  },
  {
    exit: EXIT.unavailable,
    code: "NO_FARM",
    when: "no farm there",
    run: () => granary(["projects", "--url", "http://127.0.0.1:1", "--json"]),
  },
  {
    exit: EXIT.cancelled,
    code: "CANCELLED",
    when: "a publish that somebody cancels",
    waiting: true,
    run: async () => {
      const id = await queued("app", "cancelled");
      const waiting = granary(["wait", id, "--json"]);
      assert.equal((await granary(["cancel", id])).code, EXIT.ok);
      const again = await granary(["cancel", id]);
      assert.deepEqual([again.code, again.stderr], [EXIT.ok, "it was cancelled before\n"]);
      return waiting;
    },
  },
  {
    exit: EXIT.limit,
    code: "QUOTA_EXCEEDED",
    when: "a project that has no room left",
    run: () => send1("full", ["--json"]),
  },
  {
    exit: EXIT.overtaken,
    code: "OVERTAKEN",
    when: "a queued publish that a newer one overtakes",
    waiting: true,
    run: async () => {
      const id = await queued("newest", "older");
      const newer = await queued("newest", "newer");
      const waited = await granary(["wait", id, "--json"]);
      assert.equal((JSON.parse(waited.stdout) as Problem).params["overtaken_by"], newer);
      return waited;
    },
  },
  {
    exit: EXIT.timedOut,
    code: "TIMED_OUT",
    when: "a publish that takes longer than one waits, and goes on",
    waiting: true,
    run: async () => {
      const result = await send1("app", ["--timeout", "3s", "--json"]);
      goesOn.push(String((JSON.parse(result.stdout) as Problem).params["publish_id"]));
      return result;
    },
  },
  {
    exit: EXIT.mismatch,
    code: "VERIFY_MISMATCH",
    when: "a directory that is not what was released",
    run: () => granary(["verify", directory({ v: "other" }), "app@v1", "--json"]),
  },
  {
    exit: EXIT.interrupted,
    when: "Ctrl-C while the publish goes on",
    waiting: true,
    run: async () => {
      const id = await queued("app", "detached");
      const result = await granary(["wait", id, "--json"], {
        onStart: (child) => {
          child.stderr?.on("data", (text: Buffer) => {
            if (text.includes("queued...")) child.kill("SIGINT");
          });
        },
      });
      const { state, publish_id } = JSON.parse(result.stdout) as PublishJson;
      assert.deepEqual([state, publish_id], ["queued", id]);
      assert.ok(result.stderr.includes(`detached: the publish goes on. Follow it: granary wait ${id}`));
      goesOn.push(id);
      return result;
    },
  },
];

/** Those that nothing can end with yet, and why. */
const NOT_YET: Readonly<Record<number, string>> = {
  [EXIT.build]:
    "images are not built yet: a Dockerfile's tree is released as it is, and says so (requested_kind)",
};

/** What was left behind while it waited. */
const goesOn: string[] = [];

function check({ exit, code, when, run }: Case): void {
  test(`${exit} (${exitName(exit)}): ${when}`, async () => {
    const result = await run();
    assert.equal(result.code, exit, result.stdout + result.stderr);
    if (code !== undefined) assert.equal((JSON.parse(result.stdout) as Problem).code, code, result.stdout);
  });
}

describe("the command line ends with", { concurrency: 4 }, () => {
  for (const known of CASES) if (known.waiting === undefined) check(known);

  test("every code of the table, or it is said why not", () => {
    const shown = new Set([...CASES.map(({ exit }) => exit), ...Object.keys(NOT_YET).map(Number)]);
    assert.deepEqual(
      [...shown].sort((a, b) => a - b),
      Object.values(EXIT).sort((a, b) => a - b),
    );
  });
});

describe("while a publish waits the command line ends with", { concurrency: 4 }, () => {
  before(() => setCordoned(true));
  for (const known of CASES) if (known.waiting === true) check(known);
});

test("whose waiting has ended goes on all the same", async () => {
  await setCordoned(false);
  assert.equal(goesOn.length, 2);
  for (const id of goesOn) assert.equal((await ended(farm, id)).state, "ready");
});
