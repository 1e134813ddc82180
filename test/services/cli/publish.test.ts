import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ERROR_CODES } from "../../../proto/errors.ts";
import { runCli, runCliProcess } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { fakePublish, fakeRelease, sendJson, sendProblem, startFakeFarm } from "./fake-farm.ts";
import {
  app,
  archiveFile,
  BOT,
  COMMIT,
  GET,
  incompressible,
  POST,
  PUT,
  publish,
  routesFor,
  treeOf,
} from "./publish-harness.ts";

const IMAGE_REF = fakeRelease().image_ref;

test("a publish that goes live prints one line on stdout and tells the rest on stderr", async (t) => {
  const directory = app();
  const release = fakeRelease({ tree: await treeOf(directory), warnings: ["beware"] });
  const { result, farm } = await publish(t, { directory, release });
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, `acme/bot@v42 ${IMAGE_REF}\n`);
  assert.match(
    result.stderr,
    /42 files, 1\.2 MB sent; 3 new files \(12 KB\), 39 reused; live as v42 \(was v41\)/,
  );
  assert.match(result.stderr, /warning: beware/);
  const [plan, commit] = farm.seen.filter((request) => request.method === "POST");
  assert.equal(plan?.headers["content-type"], "application/gzip");
  assert.equal(plan?.headers.authorization, "Bearer gr_test");
  assert.deepEqual(JSON.parse(String(commit?.body)), { commit: "abcdef1" });
});

test("-q prints only the image ref, --json only the release, GRANARY_OUTPUT_FILE gets it as well", async (t) => {
  const directory = app();
  const release = fakeRelease({ tree: await treeOf(directory) });
  const quiet = await publish(t, { directory, release, args: ["-q"] });
  assert.equal(quiet.result.stdout, `${IMAGE_REF}\n`);
  assert.equal(quiet.result.stderr, "");
  const file = path.join(tempFolder(), "out.json");
  const json = await publish(t, { directory, release, args: ["--json"], env: { GRANARY_OUTPUT_FILE: file } });
  assert.deepEqual(JSON.parse(json.result.stdout), release);
  assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), release);
});

for (const [code, state] of [
  ["ARCHIVE_LINK_LOOP", "failed"],
  ["MANIFEST_INVALID", "failed"],
  ["BUILD_FAILED", "failed"],
  ["CANCELLED", "cancelled"],
  ["OVERTAKEN", "overtaken"],
] as const) {
  test(`a publish that ends with ${code} exits ${ERROR_CODES[code].exit} and says so as one problem with --json`, async (t) => {
    const error = { code, detail: `it was ${code}`, hint: "", status: 422, params: { path: "x" } };
    const ended = fakePublish({ state, error });
    const { result } = await publish(t, {
      routes: { [GET]: ({ response }) => sendJson(response, 200, ended) },
      args: ["--json"],
    });
    assert.equal(result.code, ERROR_CODES[code].exit);
    const problem = JSON.parse(result.stdout);
    assert.equal(problem.code, code);
    assert.equal(problem.detail, `it was ${code}`);
    assert.deepEqual(problem.params, { path: "x", publish_id: "pub_1" });
  });
}

test("a release that is held is ready and exits 0; with --require-active it exits 7", async (t) => {
  const directory = app();
  const release = fakeRelease({
    tree: await treeOf(directory),
    state: "ready",
    activated: false,
    not_activated_reason: "held",
  });
  const plain = await publish(t, { directory, release });
  assert.equal(plain.result.code, 0);
  assert.match(plain.result.stderr, /ready as v42, NOT live: the project is held/);
  assert.match(plain.result.stderr, /granary activate acme\/bot@v42/);
  const strict = await publish(t, { directory, release, args: ["--require-active"] });
  assert.equal(strict.result.code, 7);
  assert.equal(strict.result.stdout, `acme/bot@v42 ${IMAGE_REF}\n`);
  assert.match(strict.result.stderr, /error NOT_ACTIVATED: .*held/);
  assert.match(strict.result.stderr, /^hint: .*`granary activate acme\/bot@v42\b/m);
});

test("an existing release is answered at once and is not called published again", async (t) => {
  const release = fakeRelease({ state: "superseded", existing: true });
  const existing = fakePublish({
    state: "ready",
    existing: true,
    release: { ...release, tree: await treeOf(app()) },
  });
  const { result, farm } = await publish(t, {
    routes: { [COMMIT]: ({ response }) => sendJson(response, 200, existing) },
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /identical to an existing release; ready as v42, NOT live/);
  assert.ok(!farm.seen.some((request) => request.path === "/v1/publishes/pub_1"));
});

test("a busy farm gets the same upload again under the same key", async (t) => {
  let posts = 0;
  const { result, farm } = await publish(t, {
    directory: archiveFile(gzipSync(Buffer.alloc(1024))),
    routes: {
      [POST]: ({ response, raw }) => {
        posts += 1;
        if (posts === 1) sendProblem(response, "RATE_LIMITED", 429, "too many", { "retry-after": "0" });
        else if (posts === 2) raw.socket.destroy();
        else sendJson(response, 202, fakePublish());
      },
    },
  });
  assert.equal(result.code, 0, result.stderr);
  const uploads = farm.seen.filter((request) => request.method === "POST");
  assert.equal(uploads.length, 3);
  const [first, ...others] = uploads;
  for (const other of others) {
    assert.equal(other.headers["idempotency-key"], first?.headers["idempotency-key"]);
    assert.deepEqual(other.body, first?.body);
  }
});

test("a refusal in the middle of the upload is shown, not the broken pipe", async (t) => {
  const { result } = await publish(t, {
    directory: archiveFile(incompressible(24 * 1024 * 1024)),
    unread: [POST],
    routes: {
      [POST]: ({ response, raw }) => {
        raw.once("data", () => {
          sendProblem(response, "ARCHIVE_UPLOAD_TOO_LARGE", 413, "the upload is too large");
          // As the farm does it: a reset at once would take the answer with it.
          setTimeout(() => raw.socket.destroy(), 500);
        });
      },
    },
  });
  assert.equal(result.code, 8);
  assert.match(result.stderr, /error ARCHIVE_UPLOAD_TOO_LARGE: the upload is too large/);
  assert.doesNotMatch(result.stderr, /EPIPE|ECONNRESET/);
});

test("a refusal before the body costs no upload", async (t) => {
  let received = 0;
  const { result } = await publish(t, {
    directory: archiveFile(incompressible(24 * 1024 * 1024)),
    unread: [POST],
    routes: {
      [POST]: ({ response, raw }) => {
        raw.on("data", (chunk: Buffer) => (received += chunk.byteLength));
        sendProblem(response, "FORBIDDEN", 403, "the token does not allow publish", { connection: "close" });
      },
    },
  });
  assert.equal(result.code, 5);
  assert.match(result.stderr, /hint: hint of FORBIDDEN/);
  assert.ok(received < 100_000);
});

test("what the farm would refuse is refused before a byte is sent", async (t) => {
  const directory = app();
  writeFileSync(path.join(directory, "back\\slash"), "");
  const { result, farm } = await publish(t, { directory });
  assert.equal(result.code, 8);
  assert.ok(!farm.seen.some((request) => request.method === "POST"));
});

test("a farm that goes away while it is waited for is waited for", async (t) => {
  const directory = app();
  const release = fakeRelease({ tree: await treeOf(directory) });
  let asked = 0;
  const { result } = await publish(t, {
    directory,
    routes: {
      [GET]: ({ response, raw }) => {
        asked += 1;
        if (asked === 1) raw.socket.destroy();
        else if (asked === 2) sendProblem(response, "UNAVAILABLE", 503, "starting", { "retry-after": "0" });
        else if (asked === 3) sendJson(response, 200, fakePublish({ state: "ingesting" }));
        else sendJson(response, 200, fakePublish({ state: "ready", release }));
      },
    },
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /waiting for the farm to come back/);
  assert.match(result.stderr, /ingesting\.\.\./);
});

test("waiting that takes too long exits 14 and says how to go on", async (t) => {
  const { result } = await publish(t, {
    args: ["--timeout", "1s"],
    routes: { [GET]: ({ response }) => setTimeout(() => sendJson(response, 200, fakePublish()), 300) },
  });
  assert.equal(result.code, 14);
  assert.match(result.stderr, /granary wait pub_1/);
});

describe("--timeout", { concurrency: 6 }, () => {
  test("is one limit: what sending took is not waited for once more", async (t) => {
    const { result, farm } = await publish(t, {
      args: ["--timeout", "6s"],
      routes: { [COMMIT]: ({ response }) => setTimeout(() => sendJson(response, 202, fakePublish()), 1_500) },
    });
    assert.equal(result.code, 0, result.stderr);
    const waits = farm.seen.filter(({ path: at }) => GET.endsWith(at));
    const waited = waits.map(({ query }) => Number(query.get("wait")));
    assert.ok(waited.length === 1 && waited.every((waitS) => waitS <= 5), waited.join());
  });

  for (const [what, route] of [
    ["the listing", `POST ${BOT}/publishes:plan`],
    ["the content", PUT],
  ] as const)
    test(`a farm that does not answer ${what} is given up when the time is over, and nothing is published`, async (t) => {
      const { result, farm } = await publish(t, {
        args: ["--timeout", "1s"],
        routes: { [route]: () => undefined },
      });
      assert.equal(result.code, 14, result.stderr);
      assert.match(
        result.stderr,
        /error TIMED_OUT: the farm had not accepted it after 1\.0 s: nothing is pub/,
      );
      assert.ok(!farm.seen.some(({ path: at }) => COMMIT.endsWith(at)));
    });

  for (const [what, route] of [
    ["a commit", COMMIT],
    ["an archive", POST],
  ] as const)
    test(`${what} that is not answered in time may have been accepted, and its key is told`, async (t) => {
      const { result } = await publish(t, {
        ...(route === POST ? { directory: archiveFile(gzipSync(Buffer.alloc(1024))) } : {}),
        args: ["--timeout", "1s"],
        routes: { [route]: () => undefined },
      });
      assert.equal(result.code, 14, result.stderr);
      assert.match(result.stderr, /error OUTCOME_UNKNOWN: .*not known: the time of 1\.0 s was over/);
      assert.match(result.stderr, /^ask again: .*--idempotency-key/m);
    });

  test("an archive that stops coming on standard input does not outlast the time limit", async (t) => {
    const farm = await startFakeFarm(routesFor(fakeRelease(), {}));
    t.after(() => farm.close());
    const reader = new PassThrough();
    reader.write(gzipSync(Buffer.alloc(1024)).subarray(0, 10));
    const args = ["publish", "-", "-p", "acme/bot", "--commit", "abcdef1", "--timeout", "1s"];
    const result = await runCli(args, { env: farm.env, stdin: reader });
    assert.equal(result.code, 14, result.stderr);
    assert.match(result.stderr, /nothing is published/);
  });
});

test("--no-wait prints the publish id", async (t) => {
  const { result, farm } = await publish(t, { args: ["--no-wait"] });
  assert.equal(result.stdout, "pub_1\n");
  assert.ok(!farm.seen.some((request) => request.path === "/v1/publishes/pub_1"));
});

test("Ctrl-C detaches: exit 130, the publish goes on, and it is said how to follow it", async (t) => {
  const farm = await startFakeFarm(routesFor(fakeRelease(), { [GET]: () => undefined }));
  t.after(() => farm.close());
  const result = await runCliProcess(["publish", app(), "-p", "acme/bot", "--commit", "abcdef1"], {
    env: farm.env,
    onStart: (child) => {
      const timer = setInterval(() => {
        if (!farm.seen.some((request) => request.path === "/v1/publishes/pub_1")) return;
        clearInterval(timer);
        // Once: a signal that arrives while Node tears itself down finds its handlers gone and kills.
        child.kill("SIGINT");
      }, 50);
      child.once("exit", () => clearInterval(timer));
    },
  });
  assert.equal(result.code, 130);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /detached: publish pub_1 goes on\. Follow it: granary wait pub_1/);
});

test("content that the farm read differently is a verification mismatch", async (t) => {
  const { result } = await publish(t, { release: fakeRelease() });
  assert.equal(result.code, 15);
  assert.match(result.stderr, /error VERIFY_MISMATCH/);
});

test("an archive file is sent as it is, with its digest and length", async (t) => {
  const archive = gzipSync(Buffer.alloc(1024));
  const { result, farm } = await publish(t, { directory: archiveFile(archive), args: ["--strip", "1"] });
  assert.equal(result.code, 0, result.stderr);
  const upload = farm.seen.find((request) => request.method === "POST");
  assert.deepEqual(upload?.body, archive);
  assert.equal(upload?.headers["content-length"], String(archive.byteLength));
  assert.match(String(upload?.headers["content-digest"]), /^sha-256=:.{44}:$/);
  assert.equal(upload?.query.get("strip"), "1");
});

test("- sends an archive from stdin", async (t) => {
  const archive = gzipSync(Buffer.alloc(1024));
  const { result, farm } = await publish(t, { directory: "-", stdin: archive });
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(farm.seen.find((request) => request.method === "POST")?.body, archive);
});

test("in CI without a commit publish exits 4 and sends nothing", async (t) => {
  const { result, farm } = await publish(t, { commit: undefined, env: { CI: "true" } });
  assert.equal(result.code, 4);
  assert.match(result.stderr, /error COMMIT_REQUIRED/);
  assert.ok(!farm.seen.some((request) => request.method === "POST"));
});
