import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Page, SessionJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publishReady, send } from "../helpers/farm-requests.ts";
import { raceSessions } from "../helpers/session-race.ts";

const folder = tempDir("sessions");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function put(project: string, id: string, more: { ttl?: string; token?: string } = {}) {
  const { ttl, token } = more;
  const json = ttl === undefined ? {} : { ttl };
  return send<SessionJson>(farm, `${projectUrl(project)}/sessions/${id}`, { method: "PUT", json, token });
}

function release(project: string, content: string) {
  return publishReady(farm, project, appArchive({ "version.txt": content }));
}

test("a session keeps its release through activations and a crash of the farm, until it is ended", async () => {
  await release("app", "one");
  const first = await put("app", "s1");
  assert.equal(first.status, 201, first.text);
  assert.equal(first.body.version, "v1");
  assert.ok(first.body.image_ref.endsWith(`/default/app@${first.body.image_digest}`));
  await release("app", "two");
  await farm.kill();
  farm = await startTestFarm({ data: farm.data, args: ["--threads", "1"] });
  const known = await put("app", "s1");
  assert.equal(known.status, 200);
  const links = { image_ref: known.body.image_ref, url: known.body.url };
  assert.deepEqual(known.body, { ...first.body, ...links });
  assert.equal((await put("app", "s2")).body.version, "v2");
  const url = `${projectUrl("app")}/sessions`;
  const page = await send<Page<SessionJson>>(farm, `${url}?limit=1`);
  assert.deepEqual(
    page.body.items.map(({ id }) => id),
    ["s1"],
  );
  const next = await send<Page<SessionJson>>(farm, `${url}?limit=1&cursor=${page.body.next_cursor}`);
  assert.deepEqual([next.body.items[0]?.id, next.body.next_cursor], ["s2", null]);
  assert.equal((await send(farm, `${url}/s1`, { method: "DELETE" })).status, 204);
  problemOf(await send(farm, `${url}/s1`), 404, "NOT_FOUND");
  problemOf(await send(farm, `${url}/s1`, { method: "DELETE" }), 404, "NOT_FOUND");
  const again = await put("app", "s1");
  assert.deepEqual([again.status, again.body.version], [201, "v2"]);
});

test("a session ends when its time is over, unless it was extended", async () => {
  await release("short", "one");
  assert.equal((await put("short", "gone", { ttl: "1s" })).status, 201);
  assert.equal((await put("short", "kept", { ttl: "1s" })).status, 201);
  const extended = await put("short", "kept", { ttl: "1h" });
  assert.equal(extended.status, 200);
  const gone = `${projectUrl("short")}/sessions/gone`;
  await eventually(
    async () => ((await send(farm, gone)).status === 404 ? true : undefined),
    20_000,
    "the end of a session of 1 s",
  );
  assert.equal((await put("short", "kept")).body.expires_at, extended.body.expires_at);
});

test("a session needs a live release, an id that fits, a time to live within the limit, and a token of the org", async () => {
  problemOf(await put("none", "s1"), 404, "NOT_FOUND");
  await publishReady(farm, "idle", appArchive({ "version.txt": "idle" }), { query: { activate: "false" } });
  problemOf(await put("idle", "s1"), 409, "NOTHING_ACTIVE");
  await release("strict", "one");
  for (const id of ["a.b", "a%2Fb", "%00", "x".repeat(129)])
    problemOf(await put("strict", id), 400, "NAME_INVALID");
  for (const ttl of ["31d", "1x", ""]) problemOf(await put("strict", "s1", { ttl }), 400, "USAGE");
  const reader = await makeToken(farm, "default", ["read"]);
  assert.equal((await put("strict", "s1")).status, 201);
  assert.equal((await put("strict", "s2", { token: reader.token })).status, 201);
  const end = (id: string) =>
    send(farm, `${projectUrl("strict")}/sessions/${id}`, { method: "DELETE", token: reader.token });
  problemOf(await end("s1"), 403, "FORBIDDEN");
  assert.equal((await end("s2")).status, 204);
  const publisher = await makeToken(farm, "default", ["publish"]);
  problemOf(await put("strict", "s3", { token: publisher.token }), 403, "FORBIDDEN");
  assert.equal((await send(farm, "/v1/orgs/default/projects/other/sessions")).status, 404);
});

test("no session sees two releases, or one older than an activation acknowledged before, while both race", async (t) => {
  const race = { seconds: 2, startsPerSecond: 150, activationEveryMs: 100 };
  const result = await raceSessions(farm, "race", race);
  t.diagnostic(JSON.stringify(result));
  assert.ok(result.sessions === 300 && result.activations >= 2, JSON.stringify(result));
});
