import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ERROR_CODES, EXIT } from "../../../proto/errors.ts";
import { runCli, runCliProcess } from "../../helpers/cli.ts";
import { REPOSITORY_ROOT } from "../../helpers/repository-root.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import {
  type FakeFarm,
  type FakeRoute,
  fakePublish,
  fakeRelease,
  sendJson,
  sendProblem,
  startFakeFarm,
} from "./fake-farm.ts";

const BOT = "/v1/orgs/acme/projects/bot";
const POINTER = {
  ...fakeRelease(),
  generation: 9,
  held: null,
  event_seq: "9-0",
  changed: true,
  from: "v41",
  to: "v42",
  cause: "activate",
};

test("without a farm every verb exits 10 and says how to start one", async () => {
  const url = "http://127.0.0.1:1";
  for (const args of [["publish", "."], ["current", "acme/bot"], ["event", "tail"], ["whoami"]]) {
    const result = await runCli([...args, "--url", url]);
    assert.equal(result.code, 10, args.join(" "));
    assert.ok(result.stderr.includes(`No farm at ${url}. Start one: npm start`), result.stderr);
    assert.equal(result.stdout, "");
  }
  const json = await runCli(["current", "acme/bot", "--json", "--url", url]);
  assert.equal(JSON.parse(json.stdout).code, "NO_FARM");
  assert.equal(json.stderr, "");
  const named = await runCli(["current", "acme/bot"], { env: { GRANARY_URL: "http://farm.invalid" } });
  assert.match(named.stderr, /^no host of that name is known; the url is from GRANARY_URL$/m);
});

test("a farm's problem is shown as code, message and its hint, and exits by its code", async (t) => {
  const farm = await start(t, {
    [`GET ${BOT}/current`]: ({ response }) =>
      sendProblem(response, "NOTHING_ACTIVE", 409, "acme/bot has no active release"),
  });
  const human = await runCli(["current", "acme/bot"], { env: farm.env });
  assert.equal(human.code, ERROR_CODES.NOTHING_ACTIVE.exit);
  assert.equal(
    human.stderr,
    "error NOTHING_ACTIVE: acme/bot has no active release\nhint: hint of NOTHING_ACTIVE\n",
  );
  const json = await runCli(["current", "acme/bot", "--json"], { env: farm.env });
  assert.equal(json.code, ERROR_CODES.NOTHING_ACTIVE.exit);
  const problem = JSON.parse(json.stdout);
  assert.equal(problem.request_id, "req_1");
});

test("a code that this version does not know still exits by its status", async (t) => {
  const farm = await start(t, {
    "GET /v1/whoami": ({ response }) => sendProblem(response, "MOON_PHASE", 403, "not at full moon"),
    "GET /v1/queue": ({ response }) => response.writeHead(502).end("<html>bad gateway</html>"),
  });
  const unknown = await runCli(["whoami"], { env: farm.env });
  assert.equal(unknown.code, EXIT.unauthorized);
  assert.match(unknown.stderr, /MOON_PHASE: not at full moon/);
  assert.equal((await runCli(["queue", "ls"], { env: farm.env })).code, EXIT.unavailable);
});

test("a usage error under --json is one problem, too", async () => {
  const result = await runCli(["publish", "--comit", "x", "--json"]);
  assert.equal(result.code, 4);
  assert.equal(JSON.parse(result.stdout).code, "USAGE");
});

test("lists print their items as an array, across pages", async (t) => {
  const farm = await start(t, {
    [`GET ${BOT}/releases`]: ({ response, query }) => {
      const second = query.get("cursor") === "next";
      sendJson(response, 200, {
        items: [fakeRelease({ version: second ? "v1" : "v2" })],
        next_cursor: second ? null : "next",
      });
    },
  });
  const json = await runCli(["releases", "bot", "--json"], { env: farm.env });
  assert.deepEqual(
    JSON.parse(json.stdout).map((release: { version: string }) => release.version),
    ["v2", "v1"],
  );
  const table = await runCli(["releases", "acme/bot", "--limit", "1"], { env: farm.env });
  assert.match(table.stdout, /^VERSION +STATE +COMMIT/);
  assert.match(table.stdout, /^v2 +active +0123456789ab /m);
  assert.match(table.stderr, /there is more: --cursor next/);
});

test("names from elsewhere cannot drive the terminal", async (t) => {
  const farm = await start(t, {
    [`GET ${BOT}/releases`]: ({ response }) =>
      sendJson(response, 200, { items: [fakeRelease({ created_by: "\u001b[2Jx" })], next_cursor: null }),
  });
  const { stdout } = await runCli(["releases", "acme/bot"], { env: farm.env });
  assert.ok(!stdout.includes("\u001b"));
  assert.ok(stdout.includes("\\u001b[2Jx"));
});

test("a rollback says from, to, who, when, how to undo it, and that the project is held", async (t) => {
  const held = { reason: "r", since: "2026-01-02T03:04:06Z", by: { kind: "token", id: "t1" } };
  const change = {
    ...POINTER,
    held,
    cause: "rollback",
    from: "v43",
    from_activated_at: "2026-01-01T00:00:00.000Z",
    from_activated_by: "token:t2",
    activated_at: "2026-01-02T03:04:05.678Z",
    activated_by: "token:t1",
  };
  const farm = await start(t, {
    [`POST ${BOT}/rollbacks`]: ({ response }) => sendJson(response, 200, change),
  });
  const result = await runCli(
    ["rollback", "acme/bot", "--to", "v42", "--reason", "why", "--expect-generation", "8"],
    { env: farm.env },
  );
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /rolled back v43 -> v42/);
  assert.match(result.stdout, /live since 2026-01-01 00:00:00Z by token:t2/);
  assert.match(result.stdout, /when +2026-01-02 03:04:05Z/);
  assert.match(result.stdout, /undo +granary activate acme\/bot@v43/);
  assert.match(result.stderr, /granary unhold acme\/bot/);
  const sent = JSON.parse(String(farm.seen.find((request) => request.method === "POST")?.body));
  assert.deepEqual(sent, { to: "v42", expected_generation: 8, reason: "why" });
});

test("a command whose answer is lost is asked again under the same key", async (t) => {
  let asked = 0;
  const farm = await start(t, {
    [`POST ${BOT}/activations`]: ({ response, raw }) => {
      asked += 1;
      if (asked === 1) raw.socket.destroy();
      else if (asked === 2)
        sendProblem(response, "OUTCOME_UNKNOWN", 504, "not known yet", { "retry-after": "0" });
      else sendJson(response, 200, POINTER);
    },
  });
  const result = await runCli(["activate", "acme/bot@v42"], { env: farm.env });
  assert.equal(result.code, 0, result.stderr);
  const keys = farm.seen
    .filter((request) => request.method === "POST")
    .map((request) => request.headers["idempotency-key"]);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
});

test("a stale generation exits 7", async (t) => {
  const farm = await start(t, {
    [`POST ${BOT}/activations`]: ({ response }) =>
      sendProblem(response, "GENERATION_STALE", 409, "generation is 9, not 8"),
  });
  assert.equal(
    (await runCli(["activate", "acme/bot@v42", "--expect-generation", "8"], { env: farm.env })).code,
    7,
  );
});

test("wait reports as publish does, and finds the newest publish of a project", async (t) => {
  const farm = await start(t, {
    [`GET ${BOT}/publishes`]: ({ response }) =>
      sendJson(response, 200, { items: [fakePublish()], next_cursor: null }),
    "GET /v1/publishes/pub_1": ({ response }) =>
      sendJson(response, 200, fakePublish({ state: "ready", release: fakeRelease() })),
  });
  const result = await runCli(["wait", "acme/bot"], { env: farm.env });
  assert.equal(result.stdout, `acme/bot@v42 ${fakeRelease().image_ref}\n`);
});

test("event tail survives lost connections without gaps or repeats", async (t) => {
  const connections: (string | undefined)[] = [];
  const farm = await start(t, {
    "GET /v1/events": ({ response, headers }) => {
      connections.push(String(headers["last-event-id"]));
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (connections.length === 1) {
        response.write(`: hello\n\n${frame(1)}${frame(2)}${frame(3).slice(0, 40)}`);
        setTimeout(() => response.destroy(), 50);
      } else {
        // A farm that sends one twice is not believed.
        response.write(`${frame(2)}${frame(3)}`.replaceAll("\n", "\r\n"));
        response.write(frame(4));
      }
    },
  });
  const result = await runCliProcess(["event", "tail", "--from", "start", "--json"], {
    env: farm.env,
    onStart: (child) => {
      let text = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('"4-0"')) child.kill("SIGINT");
      });
    },
  });
  assert.equal(result.code, 130);
  const cursors = result.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).granarycursor);
  assert.deepEqual(cursors, ["1-0", "2-0", "3-0", "4-0"]);
  assert.deepEqual(connections, ["0-0", "2-0"]);
  assert.match(result.stderr, /granary event tail --from 4-0/);
});

test("login checks the token, saves it and uses it from then on", async (t) => {
  const farm = await start(t, {});
  const home = { XDG_CONFIG_HOME: tempFolder() };
  const login = await runCli(["login", "--url", farm.url, "--context", "test"], {
    env: home,
    stdin: "gr_secret\n",
  });
  assert.equal(login.code, 0, login.stderr);
  assert.doesNotMatch(login.stdout + login.stderr, /gr_secret/);
  await runCli(["whoami"], { env: home });
  assert.equal(farm.seen.at(-1)?.headers.authorization, "Bearer gr_secret");
  const listed = await runCli(["contexts", "--json"], { env: home });
  assert.deepEqual(JSON.parse(listed.stdout), [
    { name: "test", current: true, url: farm.url, org: "acme", has_token: true },
  ]);
});

test("a token that the farm refuses is not saved", async (t) => {
  const farm = await start(t, {
    "GET /v1/whoami": ({ response }) => sendProblem(response, "UNAUTHENTICATED", 401, "no such token"),
  });
  const home = tempFolder();
  const result = await runCli(["login", "--url", farm.url], {
    env: { XDG_CONFIG_HOME: home },
    stdin: "gr_bad\n",
  });
  assert.equal(result.code, 5);
  assert.throws(() => readFileSync(path.join(home, "granary/config.toml")));
});

test("plan and verify need no farm, agree with each other, and verify exits 15 on another digest", async () => {
  const directory = tempFolder();
  writeFileSync(path.join(directory, "karta.toml"), 'entry_point = "app:app"\nname = "Some Bot"\n');
  writeFileSync(path.join(directory, "app.py"), "app = 1\n");
  const plan = await runCli(["plan", "--json"], { cwd: directory });
  assert.equal(plan.code, 0, plan.stderr);
  const planned = JSON.parse(plan.stdout);
  assert.equal(planned.project, "some-bot");
  assert.equal(planned.entry_point, "app:app");
  assert.equal(planned.file_count, 2);
  const verify = await runCli(["verify", "-q"], { cwd: directory });
  assert.equal(verify.stdout, `${planned.image_digest}\n`);
  const ref = `registry.test/acme/bot@${planned.image_digest}`;
  assert.equal((await runCli(["verify", ".", "--image-ref", ref], { cwd: directory })).code, 0);
  writeFileSync(path.join(directory, "app.py"), "app = 2\n");
  const changed = await runCli(["verify", "--image-ref", ref], { cwd: directory });
  assert.equal(changed.code, 15);
  assert.match(changed.stderr, /error VERIFY_MISMATCH/);
});

test("verify still knows an image that an earlier recipe made, by its digest and by its release", async (t) => {
  const vectors = JSON.parse(readFileSync("test/golden/image-vectors.json", "utf8"));
  const vector = vectors.find(({ name }: { name: string }) => name === "one empty file");
  assert.equal(vector.recipe_version, 1);
  const directory = tempFolder();
  writeFileSync(path.join(directory, "empty"), "");
  const byDigest = ["verify", directory, "--image-digest", vector.image_digest, "--json"];
  const found = await runCli(byDigest);
  assert.equal(found.code, 0, found.stderr);
  assert.equal(JSON.parse(found.stdout).recipe.recipe_version, 1);
  const { tree, image_digest, layers } = vector;
  const release = fakeRelease({ version: "v3", recipe_version: 1, tree, image_digest, layers });
  const farm = await start(t, {
    [`GET ${BOT}/releases/v3`]: ({ response }) => sendJson(response, 200, release),
  });
  const matching = await runCli(["verify", directory, "acme/bot@v3"], { env: farm.env });
  assert.equal(matching.code, 0, matching.stderr);
});

test("the bundled examples are what their READMEs say", async () => {
  const planOf = async (name: string): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await runCli([
      "plan",
      path.join(REPOSITORY_ROOT, "examples", name),
      "--json",
    ]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  const bot = await planOf("support-bot");
  assert.deepEqual(
    [bot["project"], bot["build_kind"], bot["entry_point"]],
    ["support-bot", "buildpack", "app:app"],
  );
  const hello = await planOf("hello-node");
  assert.deepEqual([hello["project"], hello["build_kind"]], ["hello-node", "file_copy"]);
});

test("verify against a release names what differs: tree, layer, entry point, files", async (t) => {
  const directory = tempFolder();
  writeFileSync(path.join(directory, "a"), "1");
  const digest = `sha256:${"b".repeat(64)}`;
  const release = fakeRelease({
    version: "v3",
    entry_point: "app:app",
    layers: [{ mediaType: "x", digest, size: 1 }],
  });
  const farm = await start(t, {
    [`GET ${BOT}/releases/v3`]: ({ response }) => sendJson(response, 200, release),
    [`GET ${BOT}/releases/v3/files`]: ({ response }) =>
      sendJson(response, 200, {
        items: [
          { path: "a", type: "file", size: 1, digest },
          { path: "gone", type: "directory" },
        ],
        next_cursor: null,
      }),
  });
  const result = await runCli(["verify", directory, "acme/bot@v3", "--json"], { env: farm.env });
  assert.equal(result.code, 15);
  const { params } = JSON.parse(result.stdout);
  assert.deepEqual(params.changed, ["a"]);
  assert.deepEqual(params.only_there, ["gone"]);
  assert.match(
    params.differences.join("\n"),
    /^tree: [\s\S]*^entry point: none here, app:app there$[\s\S]*^layer 1 \(application\)/m,
  );
});

test("every verb answers --help, and explain knows every code", async () => {
  const help = await runCli(["publish", "--help"]);
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Example:\n {2}granary publish/);
  const explained = await runCli(["explain", "generation-stale"]);
  assert.match(explained.stdout, /exit code +7 \(conflict\)/);
  assert.match((await runCli(["explain", "ARCHIVE_LINK_LOP"])).stderr, /did you mean ARCHIVE_LINK_LOOP/);
});

test("a reader that stops early is no failure", async (t) => {
  const items = Array.from({ length: 5_000 }, (_, at) => ({
    path: `some/long/path/to/make/output/large/${at}`,
    type: "directory",
  }));
  const farm = await start(t, {
    [`GET ${BOT}/releases/current/files`]: ({ response }) =>
      sendJson(response, 200, { items, next_cursor: null }),
  });
  const result = await runCliProcess(["files", "acme/bot"], {
    env: farm.env,
    onStart: (child) => child.stdout?.destroy(),
  }).catch((error: unknown) => {
    // The reader of the test sees the stream that it destroyed itself.
    if (error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE")
      return { code: 0, stdout: "", stderr: "" };
    throw error;
  });
  assert.equal(result.stderr, "");
});

async function start(
  t: { after(run: () => Promise<void>): void },
  routes: Readonly<Record<string, FakeRoute>>,
): Promise<FakeFarm> {
  const farm = await startFakeFarm(routes);
  t.after(() => farm.close());
  return farm;
}

function frame(number: number): string {
  const event = {
    specversion: "1.0",
    id: `acme/bot/${number}`,
    source: "/orgs/acme/projects/bot",
    type: "dev.granary.release.ready.v1",
    subject: "v1",
    time: "2026-01-01T00:00:00Z",
    datacontenttype: "application/json",
    sequence: String(number).padStart(12, "0"),
    granarycursor: `${number}-0`,
    data: {},
  };
  return `id: ${number}-0\nevent: release.ready\ndata: ${JSON.stringify(event)}\n\n`;
}
