import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { AuditJson, Page, ReleaseJson, TokenJson, WhoamiJson } from "../../proto/http.ts";
import { SCOPES, type Scope } from "../../proto/records.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import {
  makeToken,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  send,
  untilCut,
} from "../helpers/farm-requests.ts";
import { type RouteCase, registeredRoutes, routeCases } from "../helpers/route-cases.ts";

const folder = tempDir("access");
const APP = projectUrl("app");
let farm: TestFarm;
let release: ReleaseJson;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  release = await publishReady(farm, "app", appArchive({ a: "1" }), { query: { commit: "1234567" } });
  await publishReady(farm, "app", appArchive({ a: "2" }));
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

/** Cases about one kind of things. */
function casesAbout(...about: RouteCase["about"][]): readonly RouteCase[] {
  return routeCases(release).filter((one) => about.includes(one.about));
}

test("every route that the services register is tried here, and none that they do not", () => {
  const tried = new Set(routeCases(release).map(({ route }) => route));
  assert.deepEqual([...tried].sort(), [...registeredRoutes()].sort());
});

/** What a scope opens beside itself. */
const IMPLIED: Partial<Record<Scope, readonly Scope[]>> = {
  write: ["read", "publish", "activate", "preview"],
  admin: ["read", "publish", "activate", "preview", "rollback", "hold", "token:admin"],
  "farm:admin": ["read", "publish", "activate", "preview", "rollback", "hold", "token:admin", "farm:read"],
};

describe("scopes", () => {
  for (const scope of SCOPES) {
    test(`${scope} opens what it names, and nothing else`, async () => {
      const { token } = await makeToken(farm, "default", [scope]);
      const has = new Set<Scope>([scope, ...(IMPLIED[scope] ?? [])]);
      for (const { path, scopes = [], ...options } of casesAbout("org", "farm")) {
        const answer = await send(farm, path, { ...options, token });
        const open = scopes.some((one) => has.has(one));
        const what = `${options.route} with ${scope}: ${answer.text.slice(0, 200)}`;
        if (open) assert.ok(answer.status !== 403 && answer.status !== 401, what);
        else assert.equal(answer.status, 403, what);
      }
    });
  }

  test("only farm:admin hands out farm scopes, acts in another org, or creates one", async () => {
    const { token } = await makeToken(farm, "default", ["admin"]);
    for (const scope of ["farm:read", "farm:admin"])
      problemOf(
        await send(farm, "/v1/orgs/default/tokens", { json: { scopes: [scope] }, token }),
        403,
        "FORBIDDEN",
      );
    problemOf(
      await send(farm, "/v1/orgs/new-org/tokens", { json: { scopes: ["read"] }, token }),
      404,
      "NOT_FOUND",
    );
    problemOf(await publish(farm, "app", appArchive({ a: "" }), { org: "new-org", token }), 404, "NOT_FOUND");
    const made = await publish(farm, "app", appArchive({ a: "" }), { org: "made-here", waitSeconds: 30 });
    assert.equal(made.status, 201, made.text);
  });
});

/** Behind everything that has happened: a feed from here is silent. */
async function head(): Promise<string> {
  return (await farm.json<EventSnapshotJson>("/v1/events/snapshot")).cursor;
}

test("without a token every route but the probes and the exchange is closed", async () => {
  for (const { path, about, route, ...options } of routeCases(release)) {
    const answer = await send(farm, path, { ...options, token: "" });
    const open = about === "public" && route !== "POST /v1/oidc/token" && route !== "GET /v2";
    assert.equal(answer.status === 401, !open, `${route}: ${answer.status}`);
    if (!open && !route.startsWith("HEAD")) assert.match(answer.text, /UNAUTH|ID_TOKEN_REFUSED/, route);
  }
});

describe("a token of another org", () => {
  test("gets on every route the answer that it would get for what is not there, and changes nothing", async () => {
    const { token } = await makeToken(farm, "stranger", ["admin"]);
    const newest = async (): Promise<number | undefined> =>
      (await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=1")).items[0]?.seq;
    const before = [await farm.json(APP), await newest()];
    for (const { path, route, ...options } of casesAbout("org")) {
      const foreign = await send<object>(farm, path, { ...options, token });
      const elsewhere = path
        .replaceAll("default", "absentx")
        .replace(release.publish_id, "pub_00000000000000000000000000");
      const absent = await send<object>(farm, elsewhere, { ...options, token });
      const what = `${route}: ${foreign.text.slice(0, 200)}`;
      assert.equal(foreign.status, 404, what);
      const shape = (text: string): string =>
        text
          .replaceAll("absentx", "default")
          .replace("pub_00000000000000000000000000", release.publish_id)
          .replace(/"request_id":"[^"]*"/, "");
      assert.equal(shape(foreign.text), shape(absent.text), what);
      const names = (answer: typeof foreign): string[] => [...answer.headers.keys()].sort();
      assert.deepEqual(names(foreign), names(absent), what);
    }
    assert.deepEqual([await farm.json(APP), await newest()], before, "something changed");
  });

  test("does not tell by its stats whether another org has stored the same content", async () => {
    const archive = appArchive({ secret: "known content ".repeat(1_000) });
    await publishReady(farm, "owner", archive);
    const { token } = await makeToken(farm, "curious", ["write"]);
    const copy = await publishReady(farm, "copy", archive, { org: "curious", token });
    assert.deepEqual([copy.stats.new_blobs, copy.stats.reused_blobs, copy.stats.new_layers], [1, 0, 1]);
  });
});

describe("a token", () => {
  test("that is asked for again under its key is the same one, for who asked only", async () => {
    const ask = (key: string, token?: string, scopes: readonly Scope[] = ["read"]) =>
      send<TokenJson>(farm, "/v1/orgs/default/tokens", {
        json: { scopes },
        headers: { "idempotency-key": key },
        token,
      });
    const one = await ask("tok-1");
    assert.equal(one.status, 201, one.text);
    assert.deepEqual((await ask("tok-1")).body, one.body);
    const admin = await makeToken(farm, "default", ["admin"]);
    const others = [
      await ask("tok-2"),
      await ask("tok-1", admin.token),
      await ask("tok-1", undefined, ["publish"]),
    ];
    const made = new Set([one, ...others].map(({ body }) => body.token));
    assert.equal(made.size, 4, "another key, another asker, another body");
    assert.equal(
      (await send(farm, `/v1/orgs/default/tokens/${one.body.id}`, { method: "DELETE" })).status,
      204,
    );
    const late = await ask("tok-1");
    assert.ok(late.body.id === one.body.id && late.body.revoked_at !== null, late.text);
    assert.equal((await send(farm, "/v1/whoami", { token: one.body.token })).status, 401);
  });

  test("that may only publish publishes from the command line and hears what came of it", async () => {
    const { token } = await makeToken(farm, "default", ["publish"], { project: "only-publish" });
    const result = await runCli(["publish", "-", "-p", "only-publish", "--commit", "1234567"], {
      env: { GRANARY_URL: farm.url, GRANARY_TOKEN: token },
      stdin: appArchive({ a: "1" }),
    });
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /^default\/only-publish@v1 /);
  });

  test("that is revoked is dead at once, also for what it had open", async () => {
    const { id, token } = await makeToken(farm, "default", ["read"]);
    const feed = await farm.fetch("/v1/events", { token, headers: { accept: "text/event-stream" } });
    assert.equal(feed.status, 200);
    const said = untilCut(feed);
    const gone = await send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" });
    assert.equal(gone.status, 204);
    problemOf(await send(farm, "/v1/whoami", { token }), 401, "UNAUTHENTICATED");
    assert.equal((await send(farm, "/v2/", { token })).status, 401);
    await publishReady(farm, "after-revoke", appArchive({ a: "1" }));
    const seen = await said;
    assert.ok(!seen.includes("after-revoke"), "the feed of a revoked token went on");
    const { items } = await farm.json<Page<TokenJson>>("/v1/orgs/default/tokens?limit=200");
    assert.ok(items.find((one) => one.id === id)?.revoked_at);
  });

  test("that is revoked ends what it waits for, and what it follows, within two seconds", async () => {
    const current = await send(farm, `${APP}/current`);
    const { id, token } = await makeToken(farm, "default", ["read"]);
    const feed = await farm.fetch(`/v1/events?cursor=${await head()}`, {
      token,
      headers: { accept: "text/event-stream" },
    });
    const feedEnd = untilCut(feed).then(() => performance.now());
    const poll = send(farm, `${APP}/current?wait=60`, {
      token,
      headers: { "if-none-match": current.headers.get("etag") ?? "" },
    }).then((answer) => ({ answer, at: performance.now() }));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" })).status, 204);
    const revokedAt = performance.now();
    const { answer, at } = await poll;
    problemOf(answer, 401, "UNAUTHENTICATED");
    for (const endedAt of [at, await feedEnd])
      assert.ok(endedAt - revokedAt < 2_000, `${endedAt - revokedAt} ms`);
  });

  test("that is revoked while it sends publishes nothing", async () => {
    const { id, token } = await makeToken(farm, "default", ["publish"]);
    const archive = appArchive({ late: "1" });
    let revoke: Promise<unknown> = Promise.resolve();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(archive.subarray(0, 100));
        await new Promise((resolve) => setTimeout(resolve, 300));
        revoke = send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" });
        await revoke;
        controller.enqueue(archive.subarray(100));
        controller.close();
      },
    });
    const response = await farm.fetch(`${projectUrl("late")}/publishes`, {
      method: "POST",
      body,
      duplex: "half",
      token,
      headers: { "content-type": "application/gzip" },
    } as RequestInit & { token: string });
    assert.equal(response.status, 401, await response.text());
    problemOf(await send(farm, projectUrl("late")), 404, "NOT_FOUND");
  });

  test("that expires while nothing happens ends what it follows", async () => {
    const { token } = await makeToken(farm, "default", ["read"], { expires: "2s" });
    const feed = await farm.fetch(`/v1/events?cursor=${await head()}`, {
      token,
      headers: { accept: "text/event-stream" },
    });
    assert.equal(feed.status, 200);
    await untilCut(feed);
    problemOf(await send(farm, "/v1/whoami", { token }), 401, "UNAUTHENTICATED");
  });

  test("that has expired is dead", async () => {
    const { token } = await makeToken(farm, "default", ["read"], { expires: "1s" });
    assert.equal((await send<WhoamiJson>(farm, "/v1/whoami", { token })).status, 200);
    await eventually(
      async () => ((await send(farm, "/v1/whoami", { token })).status === 401 ? true : undefined),
      5_000,
      "the token has expired",
    );
  });

  test("that is malformed, of another kind, or sent in another way is refused alike", async () => {
    const parts = farm.token.split("_");
    const bad = [
      "",
      "x",
      `${farm.token}0`,
      farm.token.slice(0, -1),
      farm.token.replace("gr_adm", "gr_tok"),
      [...parts.slice(0, 3), "A".repeat(40)].join("_"),
      farm.token.toUpperCase(),
      "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
      "\u00e9".repeat(40),
    ];
    const messages = new Set<string>();
    for (const token of bad) {
      const answer = await send<{ detail: string }>(farm, "/v1/whoami", {
        headers: { authorization: `Bearer ${encodeURI(token)}` },
      });
      messages.add(problemOf(answer, 401, "UNAUTHENTICATED").detail);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
    assert.ok(messages.size <= 2, [...messages].join("; "));
    for (const headers of [
      { cookie: `token=${farm.token}` },
      { authorization: farm.token },
      { authorization: `Digest ${farm.token}` },
    ]) {
      const answer = await fetch(`${farm.url}/v1/whoami`, { headers });
      assert.equal(answer.status, 401);
    }
    assert.equal((await fetch(`${farm.url}/v1/whoami?token=${farm.token}`)).status, 401);
  });

  test("that is bound to a project sees and does nothing beside it", async () => {
    await publishReady(farm, "other", appArchive({ a: "1" }));
    const { token } = await makeToken(farm, "default", ["write"], { project: "app" });
    assert.equal((await send(farm, APP, { token })).status, 200);
    problemOf(await send(farm, projectUrl("other"), { token }), 404, "NOT_FOUND");
    problemOf(await publish(farm, "brand-new", appArchive({ a: "1" }), { token }), 404, "NOT_FOUND");
    problemOf(await send(farm, "/v1/events?project=other", { token }), 404, "NOT_FOUND");
    assert.equal((await send(farm, "/v2/default/other/tags/list", { token })).status, 404);
    for (const path of [
      "/v1/events?limit=200",
      "/v1/orgs/default/projects",
      "/v1/orgs/default/audit?limit=200",
    ]) {
      const answer = await send<Page<{ project?: string; source?: string }>>(farm, path, { token });
      const seen = new Set(answer.body.items.map((item) => item.project ?? item.source));
      assert.ok(![...seen].some((name) => name?.endsWith("other")), `${path} tells of ${[...seen].join()}`);
    }
  });
});
