import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Problem } from "../../../proto/http.ts";
import { type CliOptions, type CliResult, runCliProcess } from "../../helpers/cli.ts";
import {
  type FakeFarm,
  type FakeRoute,
  fakeRelease,
  sendJson,
  sendProblem,
  startFakeFarm,
} from "./fake-farm.ts";
import { app, archiveFile, BOT, COMMIT, POST, routesFor } from "./publish-harness.ts";

/** Every command ends with its result, or with "unknown, ask again under this key": never with a guess. */
const ROLLBACKS = `POST ${BOT}/rollbacks`;
const KEY = /^[0-9a-f-]{36}$/;

/** Runs a command line against a farm that never answers `route`; Ctrl-C comes once the request is there. */
async function interrupted(
  t: TestContext,
  args: readonly string[],
  about: { route: string; answer?: FakeRoute; stdin?: CliOptions["stdin"] },
): Promise<{ result: CliResult; farm: FakeFarm; key: string }> {
  let child: { kill(signal: "SIGINT"): void } | undefined;
  const silent: FakeRoute = () => child?.kill("SIGINT");
  const farm = await startFakeFarm(routesFor(fakeRelease(), { [about.route]: about.answer ?? silent }));
  t.after(() => farm.close());
  const result = await runCliProcess(args, {
    env: farm.env,
    ...(about.stdin === undefined ? {} : { stdin: about.stdin }),
    onStart: (started) => {
      child = started;
    },
  });
  const asked = farm.seen.find(({ method, path }) => `${method} ${path}` === about.route);
  return { result, farm, key: String(asked?.headers["idempotency-key"]) };
}

describe("a command that goes unanswered", { concurrency: 4 }, () => {
  test("and is interrupted says so, with the line that asks again for the same", async (t) => {
    const args = ["rollback", "acme/bot", "--reason", 'it\'s "bad" $HOME', "--token", "gr_secret"];
    const { result, key } = await interrupted(t, args, { route: ROLLBACKS });
    assert.equal(result.code, 130);
    assert.match(result.stderr, /error OUTCOME_UNKNOWN: whether it took effect is not known: interrupted/);
    const line = /^ask again: (.*)$/m.exec(result.stderr)?.[1] ?? "";
    assert.match(key, KEY);
    assert.ok(!line.includes("gr_secret"), "a token is not repeated on a screen");
    const words = execFileSync("sh", ["-c", `granary() { printf '%s\\n' "$@"; }; ${line}`], {
      encoding: "utf8",
    });
    assert.deepEqual(words.trim().split("\n"), [
      "rollback",
      "--reason",
      'it\'s "bad" $HOME',
      "--idempotency-key",
      key,
      "acme/bot",
    ]);
  });

  test("is asked again under the key of an earlier run", async (t) => {
    const args = ["rollback", "acme/bot", "--idempotency-key", "my-key", "--json"];
    const { result, key } = await interrupted(t, args, {
      route: ROLLBACKS,
      // Longer than anyone waits.
      answer: ({ response }) =>
        sendProblem(response, "OUTCOME_UNKNOWN", 504, "not yet", { "retry-after": "60" }),
    });
    assert.equal(key, "my-key");
    assert.equal(result.code, 14);
    const problem = JSON.parse(result.stdout) as Problem;
    assert.deepEqual([problem.code, problem.params["idempotency_key"]], ["OUTCOME_UNKNOWN", "my-key"]);
  });

  test("that was certainly not taken keeps its own code", async (t) => {
    const { result } = await interrupted(t, ["rollback", "acme/bot", "--json"], {
      route: ROLLBACKS,
      answer: ({ response }) => sendProblem(response, "UNAVAILABLE", 503, "down", { "retry-after": "60" }),
    });
    assert.equal(result.code, 10);
    assert.equal((JSON.parse(result.stdout) as Problem).code, "UNAVAILABLE");
  });

  test("and makes a secret is asked again under its key like every other", async (t) => {
    const route = "POST /v1/orgs/acme/tokens";
    const token = { id: "t2", token: "gr_new", org: "acme", scopes: ["read"], expires_at: null };
    let asked = 0;
    const { result, farm, key } = await interrupted(t, ["token", "create", "--scope", "read"], {
      route,
      answer: ({ raw, response }) => (asked++ === 0 ? raw.socket.destroy() : sendJson(response, 201, token)),
    });
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.stdout, "gr_new\n");
    assert.deepEqual(
      farm.seen.filter(({ method }) => method === "POST").map(({ headers }) => headers["idempotency-key"]),
      [key, key],
    );
  });

  test("when it is a directory's publish: Ctrl-C does not say that nothing is published", async (t) => {
    const args = ["publish", app(), "-p", "acme/bot", "--commit", "abcdef1"];
    const { result, key } = await interrupted(t, args, { route: COMMIT });
    assert.equal(result.code, 130, result.stderr);
    assert.doesNotMatch(result.stderr, /nothing is published/);
    assert.ok(result.stderr.includes(`--idempotency-key ${key}`), result.stderr);
  });

  test("when it is an archive's publish: the same once all of it is sent, but not before", async (t) => {
    const archive = archiveFile(gzipSync(Buffer.alloc(1024)));
    const sent = await interrupted(t, ["publish", archive, "-p", "acme/bot", "--commit", "abcdef1"], {
      route: POST,
    });
    assert.equal(sent.result.code, 130, sent.result.stderr);
    assert.ok(sent.result.stderr.includes(`--idempotency-key ${sent.key}`), sent.result.stderr);
    const before = await interrupted(t, ["publish", archive, "-p", "acme/bot", "--commit", "abcdef1"], {
      route: "GET /v1/whoami",
    });
    assert.equal(before.result.code, 130);
    assert.doesNotMatch(before.result.stderr, /OUTCOME_UNKNOWN/);
  });
});
