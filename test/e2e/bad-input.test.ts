import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Problem, ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { type Answer, publishReady, send } from "../helpers/farm-requests.ts";
import { type Finding, RequestFuzzer } from "../helpers/fuzz-requests.ts";
import { type RouteCase, routeCases } from "../helpers/route-cases.ts";

const folder = tempDir("bad-input");
let farm: TestFarm;
let release: ReleaseJson;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  release = await publishReady(farm, "app", appArchive({ a: "1" }), { query: { commit: "1234567" } });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

/** A 4xx that says what is wrong and what to do, and no more. */
function refused(answer: Answer<unknown>, what: string): Problem {
  assert.ok(
    answer.status >= 400 && answer.status < 500,
    `${what}: ${answer.status} ${answer.text.slice(0, 300)}`,
  );
  assert.match(String(answer.headers.get("content-type")), /^application\/problem\+json/, what);
  const problem = answer.body as Problem;
  assert.ok(problem.code && problem.hint && problem.detail && problem.request_id, `${what}: ${answer.text}`);
  assert.ok(answer.text.length < 4_000, `${what}: the answer repeats the question`);
  return problem;
}

const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`;

/** Bodies that are JSON of no route, or none at all. */
const BODIES: readonly (readonly [string, string | Uint8Array])[] = [
  ["not JSON", "{"],
  ["not UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])],
  ["40 levels deep", deep(40)],
  ["100,000 levels deep", deep(100_000)],
  ["an array", "[]"],
  ["a number", "7"],
  ["a string", '"x"'],
  ["true", "true"],
  ["null", "null"],
  ["an unknown field", '{"unknown_field": 1}'],
  ["a prototype", '{"__proto__": {"scopes": ["admin"]}}'],
  ["a constructor", '{"constructor": {"prototype": {}}}'],
  ["300 KB", JSON.stringify({ reason: "x".repeat(300_000) })],
];

/** Values that no field of any route takes. */
const VALUES: readonly unknown[] = [null, {}, [[]], -1.5, 1e300, "\u0000", "../../etc", "x".repeat(5_000)];

function jsonRoutes(): readonly RouteCase[] {
  return routeCases(release).filter(({ takesJson }) => takesJson === true);
}

test("bodies that are none of a route's are refused by each of them, as problems", async () => {
  assert.ok(jsonRoutes().length >= 14);
  for (const { route, path, method = "POST" } of jsonRoutes()) {
    await Promise.all(
      BODIES.map(async ([what, body]) => {
        const bytes = typeof body === "string" ? Buffer.from(body) : body;
        const headers = { "content-type": "application/json" };
        const { code, errors } = refused(
          await send(farm, path, { method, bytes, headers }),
          `${route} with ${what}`,
        );
        // A field that is missing may be named first.
        if (what === "an unknown field" && code === "USAGE")
          assert.match(errors?.[0]?.pointer ?? "", /^\/[a-z]/, route);
      }),
    );
  }
});

test("a body of another type than JSON is refused for that, and unknown fields are not all repeated", async () => {
  const path = "/v1/orgs/default/projects/app/rollbacks";
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]) {
    const bytes = Buffer.from('{"reason":"x"}');
    const { detail } = refused(await send(farm, path, { bytes, headers: { "content-type": type } }), type);
    assert.match(detail, /content-type has to be application\/json/);
    const headers = { "content-type": type, "idempotency-key": "k" };
    const hold = "/v1/orgs/default/projects/app/holds";
    refused(await send(farm, hold, { method: "DELETE", bytes, headers }), `${type} with a key`);
  }
  const holds = path.replace("rollbacks", "holds");
  const nothing = {
    bytes: Buffer.alloc(0),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  };
  assert.equal((await send(farm, holds, nothing)).status, 200, "no body at all");
  await send(farm, holds, { method: "DELETE" });
  const endless = refused(
    await send(farm, holds, { json: { for: "9999999d" } }),
    "a hold until the year 29405",
  );
  assert.match(endless.detail, /^\/for: is longer than 3650 d/);
  const json = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, at) => [`a/~${"b".repeat(99)}${at}`, at]),
  );
  const problem = refused(await send(farm, path, { json }), "many unknown fields");
  assert.equal(problem.errors?.[0]?.pointer, `/a~1~0${"b".repeat(99)}0`);
  const missing = refused(
    await send(farm, path.replace("rollbacks", "activations"), { json: {} }),
    "nothing",
  );
  assert.deepEqual(missing.errors, [{ pointer: "/version", message: "/version: is missing" }]);
});

test("no route stumbles over a body of another type that comes with a key", async () => {
  const cases = routeCases(release).filter(({ method = "GET" }) => method !== "GET" && method !== "HEAD");
  const headers = { "content-type": "text/plain", "idempotency-key": "odd" };
  await Promise.all(
    cases.map(async ({ route, path, method = "POST" }) => {
      const answer = await send(farm, path, { method, bytes: Buffer.from("x"), headers });
      assert.ok(answer.status < 500, `${route}: ${answer.text.slice(0, 300)}`);
    }),
  );
});

/** The fields of each route's body, from the shapes that validate it. */
const FIELDS = [
  ...[
    "version",
    "expected_generation",
    "reason",
    "to",
    "for",
    "ttl",
    "activate",
    "image_digest",
    "commit",
    "source",
  ],
  ...[
    "dirty",
    "force_new",
    "preview",
    "scopes",
    "project",
    "expires",
    "require_commit",
    "portable_names",
    "public_pull",
  ],
  ...[
    "overtake",
    "default_ttl",
    "retention",
    "threads",
    "cordoned",
    "provider",
    "issuer",
    "audience",
    "claims",
    "token",
    "org",
  ],
];

test("fields of a wrong type, too long, or with odd characters are refused with their pointer", async () => {
  let pointed = 0;
  for (const [at, { route, path, method = "POST", json }] of jsonRoutes().entries()) {
    // Each route with each field, each field with each value: all three together would take minutes.
    await Promise.all(
      FIELDS.map(async (field, nth) => {
        const value = VALUES[(at + nth) % VALUES.length];
        const answer = await send(farm, path, { method, json: { ...(json as object), [field]: value } });
        if (answer.status < 300) return;
        const problem = refused(answer, `${route} with ${field}: ${JSON.stringify(value)?.slice(0, 40)}`);
        if (problem.errors?.some(({ pointer }) => pointer.startsWith("/"))) pointed += 1;
      }),
    );
  }
  assert.ok(pointed > 300, `${pointed} pointers`);
});

/** Path segments that are no name; a bare `..` never leaves the client. */
const NAMES = [
  "%2e%2e%2f%2e%2e%2fetc",
  "a%00b",
  "a%0d%0ab",
  "a%0ab",
  "A",
  "a b",
  "-a",
  "base",
  "x".repeat(64),
  "x".repeat(3_000),
  "%f0%9f%92%a9",
  "%ff",
  "%",
];

test("names that are none are refused wherever a path takes one", async () => {
  const seen = new Set<string>();
  for (const { route, path, ...options } of routeCases(release)) {
    const [, pattern = ""] = route.split(" ");
    if (!/:org|:project|:name/.test(pattern) || seen.has(route)) continue;
    seen.add(route);
    for (const name of NAMES) {
      const paths = [
        path.replace("/orgs/default", `/orgs/${name}`),
        path.replace("/projects/app", `/projects/${name}`),
      ];
      for (const bad of new Set(paths.filter((one) => one !== path))) {
        const answer = await send(farm, bad, options);
        if (options.method === "HEAD")
          assert.ok(answer.status >= 400 && answer.status < 500, `${route}: ${answer.status}`);
        else refused(answer, `${options.method} ${bad.slice(0, 120)}`);
      }
    }
  }
  assert.ok(seen.size > 30, `${seen.size} routes`);
});

test("queries that are none are refused", async () => {
  for (const { route, path, ...options } of routeCases(release)) {
    if (!route.startsWith("GET /v1/orgs") && route !== "GET /v1/events") continue;
    const separator = path.includes("?") ? "&" : "?";
    for (const query of [
      "limit=0",
      "limit=-1",
      "limit=1e9",
      "limit=x",
      "limit=1&limit=2",
      "cursor=%00",
      `cursor=${"x".repeat(2_000)}`,
    ]) {
      const answer = await send(farm, `${path}${separator}${query}`, options);
      if (answer.status >= 300) refused(answer, `${route}?${query.slice(0, 40)}`);
    }
  }
});

test("requests that are nearly those of the API's description are answered in its forms, and leave no secret in the log", async () => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  const requests = Number(process.env["GRANARY_FUZZ"] ?? 200);
  const fuzzers = [0, 1, 2, 3].map((nth) => new RequestFuzzer(farm, seed + nth));
  const findings = await Promise.all(
    fuzzers.map(async (fuzzer) => {
      const found: Finding[] = [];
      for (let sent = 0; sent < requests / fuzzers.length; sent++) found.push(...(await fuzzer.next()));
      return found;
    }),
  );
  assert.deepEqual(findings.flat(), [], `GRANARY_SEED=${seed}`);
  assert.equal((await send(farm, "/livez")).status, 200);
  const secret = farm.token.split("_").at(-1) ?? "";
  assert.ok(secret.length > 20 && !farm.log().includes(secret.slice(0, 20)), "the token is in the log");
});

test("nothing of all that was an internal error", () => {
  assert.ok(
    !farm.log().includes("request failed"),
    farm
      .log()
      .split("\n")
      .find((line) => line.includes("request failed")),
  );
});
