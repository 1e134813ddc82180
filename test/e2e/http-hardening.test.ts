import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Problem } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { problemOf, projectUrl, publishReady, send } from "../helpers/farm-requests.ts";
import { parseAnswer, type RawAnswer, rawConnection, rawRequest, readAnswer } from "../helpers/raw-http.ts";

/** What is refused is refused in this time, whatever it was. */
const QUICK_MS = 3_000;
const folder = tempDir("http");
const APP = projectUrl("app");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  await publishReady(farm, "app", appArchive({ a: "1" }));
});
afterEach(async () => {
  assert.equal((await fetch(`${farm.url}/livez`)).status, 200, "the farm is alive");
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  assert.ok(!farm.log().includes('"level":50'), "an error was logged");
  removeDir(folder);
});

/** Checks a raw answer: a problem document of that status, in time. */
function refused(answer: RawAnswer, status: number): Problem {
  assert.equal(answer.status, status, `${answer.head}\n${answer.body}`);
  assert.match(answer.head, /content-type: application\/problem\+json/i);
  assert.match(answer.head, /x-request-id: req_/i);
  assert.ok(answer.ms < QUICK_MS, `${answer.ms} ms`);
  const problem = JSON.parse(answer.body) as Problem;
  assert.equal(problem.status, status);
  return problem;
}

function auth(): string {
  return `Authorization: Bearer ${farm.token}`;
}

test("load balancers may ask with HEAD", async () => {
  for (const path of ["/livez", "/readyz", "/version", "/"]) {
    const answer = await fetch(`${farm.url}${path}`, { method: "HEAD" });
    assert.deepEqual([answer.status, await answer.text()], [200, ""], path);
  }
});

describe("requests that parsers read differently", () => {
  const forms: readonly { name: string; head: readonly string[]; body?: string; status?: number }[] = [
    { name: "two Host headers", head: ["GET /livez HTTP/1.1", "Host: a", "Host: b"] },
    {
      name: "a second Host header behind 1,500 others",
      head: ["GET /livez HTTP/1.1", "Host: a", ...Array.from({ length: 1_500 }, () => "X:"), "Host: b"],
    },
    { name: "no Host header", head: ["GET /livez HTTP/1.1"] },
    {
      name: "Content-Length and Transfer-Encoding",
      head: [`POST ${APP}/rollbacks HTTP/1.1`, "Host: a", "Content-Length: 4", "Transfer-Encoding: chunked"],
      body: "0\r\n\r\n",
    },
    {
      name: "two different Content-Lengths",
      head: [`POST ${APP}/rollbacks HTTP/1.1`, "Host: a", "Content-Length: 4", "Content-Length: 5"],
      body: "aaaaa",
    },
    {
      name: "a Content-Length with a sign",
      head: [`POST ${APP}/rollbacks HTTP/1.1`, "Host: a", "Content-Length: +4"],
      body: "aaaa",
    },
    {
      name: "a list as Content-Length",
      head: [`POST ${APP}/rollbacks HTTP/1.1`, "Host: a", "Content-Length: 4, 4"],
      body: "aaaa",
    },
    {
      name: "a Transfer-Encoding that is not chunked",
      head: [`POST ${APP}/rollbacks HTTP/1.1`, "Host: a", "Transfer-Encoding: xchunked"],
      body: "0\r\n\r\n",
    },
    {
      name: "a space before a colon",
      head: ["GET /livez HTTP/1.1", "Host: a", "Content-Length : 0"],
    },
    { name: "a folded header", head: ["GET /livez HTTP/1.1", "Host: a", "X: 1", " folded"] },
    { name: "a bare carriage return in a header", head: ["GET /livez HTTP/1.1", "Host: a", "X: 1\rY: 2"] },
    { name: "a NUL in a header", head: ["GET /livez HTTP/1.1", "Host: a", "X: \0"] },
    { name: "no version", head: ["GET /livez"] },
    { name: "another protocol", head: ["SSH-2.0-OpenSSH_9.6"] },
    { name: "a method that does not exist", head: ["FETCH /livez HTTP/1.1", "Host: a"] },
    {
      name: "a header of 20 KB",
      head: ["GET /livez HTTP/1.1", "Host: a", `X: ${"x".repeat(20_000)}`],
      status: 431,
    },
    {
      name: "two thousand headers",
      head: [
        "GET /livez HTTP/1.1",
        "Host: a",
        ...Array.from({ length: 2_000 }, (_, i) => `X-${i}: ${i}-${i}`),
      ],
      status: 431,
    },
    {
      name: "a request line of 20 KB",
      head: [`GET /${"x".repeat(20_000)} HTTP/1.1`, "Host: a"],
      status: 431,
    },
  ];
  for (const { name, head, body = "", status = 400 } of forms) {
    test(`${name}: ${status}, and the connection ends`, async () => {
      const answer = await rawRequest(farm.url, `${[...head, "", ""].join("\r\n")}${body}`);
      refused(answer, status);
    });
  }

  test("a request that is smuggled behind another one is not run", async () => {
    const inner = `POST ${APP}/holds HTTP/1.1\r\nHost: a\r\n${auth()}\r\nContent-Length: 0\r\n\r\n`;
    for (const outer of [
      `POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      `POST /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: ${inner.length}\r\n\r\n0\r\n\r\n`,
      `GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: ${inner.length}\r\n\r\n`,
      `GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n`,
    ]) {
      await rawRequest(farm.url, outer + inner, { timeoutMs: 2_000 });
      const project = await farm.json<{ held: unknown }>(APP);
      assert.equal(project.held, null, outer.split("\r\n\r\n")[0]);
    }
  });
});

describe("bodies", () => {
  const post = (path: string, body: string, type = "application/json") =>
    send(farm, path, { method: "POST", bytes: Buffer.from(body), headers: { "content-type": type } });

  const malformed: readonly [string, string, number, string][] = [
    ["100,000 nested arrays", "[".repeat(100_000) + "]".repeat(100_000), 400, "USAGE"],
    ["100,000 nested objects", '{"a":'.repeat(50_000), 400, "USAGE"],
    ["JSON that breaks off", '{"version": "v1"', 400, "USAGE"],
    ["JSON with a comment", '{"version": "v1"} // x', 400, "USAGE"],
    ["no JSON", "version=v1", 400, "USAGE"],
    ["JSON of 300 KB", JSON.stringify({ version: "v1", reason: "x".repeat(300_000) }), 413, "BODY_TOO_LARGE"],
    ["a string of 200 KB", JSON.stringify({ version: "v1", reason: "\\".repeat(100_000) }), 400, "USAGE"],
    ["a number that is none", '{"version": NaN}', 400, "USAGE"],
    ["invalid UTF-8", `{"version": "v1", "reason": "\xff\xfe"}`, 400, "USAGE"],
    ["null", "null", 400, "USAGE"],
    ["an array", "[]", 400, "USAGE"],
    ["a __proto__ key", '{"version": "v1", "__proto__": {"polluted": true}}', 400, "USAGE"],
    [
      "a constructor key",
      '{"version": "v1", "constructor": {"prototype": {"polluted": true}}}',
      400,
      "USAGE",
    ],
  ];
  for (const [name, body, status, code] of malformed) {
    test(`${name}: ${status} ${code}`, async () => {
      const began = performance.now();
      const bytes = Buffer.from(body, name === "invalid UTF-8" ? "latin1" : "utf8");
      const answer = await send(farm, `${APP}/activations`, {
        method: "POST",
        bytes,
        headers: { "content-type": "application/json" },
      });
      problemOf(answer, status, code);
      assert.ok(performance.now() - began < QUICK_MS);
      assert.equal(Reflect.get({}, "polluted"), undefined);
    });
  }

  test("a query parameter that the route does not have is refused before anything happens", async () => {
    const typed = await send(farm, `${APP}/publishes?commit=1234567&activte=false`, {
      method: "POST",
      bytes: Buffer.alloc(100),
      headers: { "content-type": "application/gzip" },
    });
    const problem = problemOf(typed, 400, "USAGE");
    assert.equal(problem.errors?.[0]?.pointer, "?activte");
    assert.match(problem.detail ?? "", /activate, commit/);
    problemOf(await send(farm, `${APP}/activations?x=1`, { json: { version: "v1" } }), 400, "USAGE");
    for (const query of ["limit=1", "min_seq=1", "consistent=true"])
      assert.equal((await send(farm, `${APP}/releases?${query}`)).status, 200);
  });

  const fields: readonly [string, string, object, string][] = [
    ["a wrong type", "activations", { version: true }, "/version"],
    ["a version that is none", "activations", { version: "latest" }, "/version"],
    ["version 0", "activations", { version: 0 }, "/version"],
    [
      "a negative generation",
      "activations",
      { version: "v1", expected_generation: -1 },
      "/expected_generation",
    ],
    ["a fraction as generation", "rollbacks", { expected_generation: 1.5 }, "/expected_generation"],
    ["a reason that is too long", "rollbacks", { reason: "x".repeat(1_001) }, "/reason"],
    ["an unknown field", "activations", { version: "v1", verison: "v2" }, "/verison"],
    ["a duration that is none", "holds", { for: "soon" }, "/for"],
    ["a duration of no length", "holds", { for: "0h" }, "/for"],
  ];
  for (const [name, route, body, pointer] of fields) {
    test(`${name} is refused with its place in the body`, async () => {
      const problem = problemOf(await send(farm, `${APP}/${route}`, { json: body }), 400, "USAGE");
      assert.equal(problem.errors?.[0]?.pointer, pointer, JSON.stringify(problem));
      assert.ok((problem.errors?.[0]?.message.length ?? 0) > 0);
    });
  }

  test("another media type than JSON is no body of a command", async () => {
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
    ]) {
      const answer = await post(`${APP}/activations`, '{"version":"v1"}', type);
      assert.ok(answer.status >= 400 && answer.status < 500, `${type}: ${answer.status} ${answer.text}`);
      assert.match(String(answer.headers.get("content-type")), /problem\+json/);
    }
  });
});

describe("paths and queries", () => {
  const long = "a".repeat(64);
  const paths: readonly [string, number, string][] = [
    [`/v1/orgs/default/projects/${long}`, 400, "NAME_INVALID"],
    [`/v1/orgs/${"a".repeat(5_000)}/projects/app`, 400, "USAGE"],
    ["/v1/orgs/default/projects/UPPER", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/v1", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/a--b", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/a%00b", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/a%0d%0ab", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/%2e%2e", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/a%2fb", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/%E2%80%AE", 400, "NAME_INVALID"],
    ["/v1/orgs/default/projects/%ZZ", 400, "USAGE"],
    ["/v1/orgs/default/projects/%C3%28", 400, "USAGE"],
    [`${APP}/releases/..%2f..%2fetc`, 400, "USAGE"],
    [`${APP}/releases?limit=0`, 400, "USAGE"],
    [`${APP}/releases?limit=1e3`, 400, "USAGE"],
    [`${APP}/releases?limit=10&limit=20`, 400, "USAGE"],
    [`${APP}/releases?cursor=..%2F..`, 400, "USAGE"],
    [`${APP}/current?wait=-1`, 400, "USAGE"],
    [`${APP}/current?wait=61`, 400, "USAGE"],
    ["/v1/events?follow=maybe", 400, "USAGE"],
    ["/v1/publishes/pub_nothing", 404, "NOT_FOUND"],
    [`/v1/publishes/${"x".repeat(400)}`, 404, "NOT_FOUND"],
    ["/v1/nothing", 404, "NOT_FOUND"],
    ["/nothing", 404, "NOT_FOUND"],
    ["/v1/../../etc/passwd", 404, "NOT_FOUND"],
    ["//v1/whoami", 404, "NOT_FOUND"],
  ];
  for (const [path, status, code] of paths) {
    test(`GET ${path.length > 60 ? `${path.slice(0, 60)}...` : path}: ${status} ${code}`, async () => {
      const answer = await rawRequest(
        farm.url,
        `GET ${path} HTTP/1.1\r\nHost: farm\r\n${auth()}\r\nAccept: application/json\r\n\r\n`,
      );
      assert.equal(refused(answer, status).code, code, answer.body);
    });
  }

  test("methods that a path does not have are refused", async () => {
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
      const answer = await rawRequest(
        farm.url,
        `${method} /v1/whoami HTTP/1.1\r\nHost: a\r\n${auth()}\r\n\r\n`,
      );
      assert.equal(refused(answer, 404).code, "NOT_FOUND");
    }
  });

  test("a commit with control characters, or one that is too long, is refused with its place", async () => {
    for (const commit of ["a%0Ab", "..", "a".repeat(65), "%F0%9F%98%80"]) {
      const answer = await send(farm, `${APP}/publishes?commit=${commit}`, { bytes: appArchive({ a: "" }) });
      const problem = problemOf(answer, 400, "USAGE");
      assert.equal(problem.errors?.[0]?.pointer, "?commit");
    }
  });

  test("an Idempotency-Key that is too long or not visible is refused", async () => {
    for (const key of ["k".repeat(LIMITS.idempotencyKeyBytes + 1), "two words", "\u00e9"]) {
      const headers = { "idempotency-key": key };
      problemOf(await send(farm, `${APP}/rollbacks`, { json: {}, headers }), 400, "USAGE");
    }
  });
});

/** These wait for the server's own time limits, all at once. */
describe("clients that take their time", { concurrency: true }, () => {
  test("a body that is refused while it is read does not take the farm with it, later either", async () => {
    const form = new URLSearchParams({ token: "x".repeat(3_000) });
    const answer = await fetch(`${farm.url}/console/sign-in`, { method: "POST", body: form });
    assert.equal(answer.status, 413);
    // What is left of its connection is ended 5 s after the answer.
    await sleep(5_500);
    assert.equal((await fetch(`${farm.url}/livez`)).status, 200);
  });

  test("headers that never end are cut off with 408", async () => {
    const socket = await rawConnection(farm.url);
    socket.write("GET /livez HTTP/1.1\r\nHost: a\r\n");
    const drip = setInterval(() => socket.write("X-Slow: 1\r\n"), 1_000);
    const began = performance.now();
    const answer = parseAnswer(await readAnswer(socket, 20_000));
    clearInterval(drip);
    socket.destroy();
    assert.equal(answer.status, 408, answer.head);
    assert.equal((JSON.parse(answer.body) as Problem).status, 408);
    assert.ok(performance.now() - began < LIMITS.headersMs + 4_000);
  });

  test("an upload that stops is cut off with 408", async () => {
    const socket = await rawConnection(farm.url);
    socket.write(`POST ${APP}/publishes HTTP/1.1\r\nHost: a\r\n${auth()}\r\nContent-Length: 1000\r\n\r\n`);
    socket.write(Buffer.from([0x1f, 0x8b, 8, 0]));
    const answer = parseAnswer(await readAnswer(socket, LIMITS.bodyIdleMs + 5_000));
    socket.destroy();
    assert.equal(answer.status, 408, answer.head);
    assert.equal((await farm.json<{ inbox_bytes: number }>("/v1/store")).inbox_bytes, 0);
  });

  test("a JSON body that comes byte by byte holds no connection for ever, without any token", async () => {
    const socket = await rawConnection(farm.url);
    socket.write(
      `POST ${APP}/rollbacks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
    );
    const drip = setInterval(() => socket.write(" "), 1_000);
    const began = performance.now();
    await readAnswer(socket, LIMITS.bodyIdleMs + 10_000);
    clearInterval(drip);
    assert.ok(performance.now() - began < LIMITS.bodyIdleMs + 5_000);
    socket.destroy();
  });
});

describe("webhooks of a farm that allows no private addresses", () => {
  for (const url of [
    "http://example.com/",
    "https://127.0.0.1:8443/",
    "https://localhost:8443/",
    "https://[::1]:8443/",
  ])
    test(`${url} is refused when it is written`, async () => {
      problemOf(await send(farm, "/v1/orgs/default/webhooks", { json: { url } }), 422, "WEBHOOK_URL_REFUSED");
    });
});
