import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { NodeJson, Page, PublishJson } from "../../proto/http.ts";
import type { WhyJson } from "../../proto/http-why.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import {
  ended,
  makeToken,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  send,
} from "../helpers/farm-requests.ts";

const folder = tempDir("why");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

async function why(what: string): Promise<string> {
  const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
  const { code, stdout, stderr } = await runCli(["why", what], { env });
  assert.equal(code, 0, stderr);
  return `${stdout}${stderr}`;
}

async function cordon(cordoned: boolean): Promise<void> {
  const [node] = (await farm.json<Page<NodeJson>>("/v1/nodes")).items;
  const answer = await send(farm, `/v1/nodes/${node?.node}`, { method: "PUT", json: { cordoned } });
  assert.equal(answer.status, 200, answer.text);
}

async function codes(path: string, token?: string): Promise<string[]> {
  const { reasons } = await farm.json<WhyJson>(path, token === undefined ? {} : { token });
  return reasons.map(({ code }) => code);
}

test("why follows a publish from the queue to its end, for people and for its publisher's token", async () => {
  const { token } = await makeToken(farm, "default", ["publish"]);
  await cordon(true);
  const first = (await publish(farm, "bot", appArchive({ a: "1" }))).body.publish_id;
  const second = (await publish(farm, "bot", appArchive({ a: "2" }))).body.publish_id;
  assert.match(await why(first), new RegExp(`^${first} of default/bot is queued\n {2}no node takes jobs`));
  assert.deepEqual(await codes(`/v1/publishes/${second}/why`, token), ["nodes_cordoned", "behind_own"]);
  const cancel = { reason: "wrong branch" };
  assert.equal((await send(farm, `/v1/publishes/${second}:cancel`, { json: cancel })).status, 200);
  assert.match(await why(second), /is cancelled\n {2}token:\S+ cancelled it at .*: wrong branch\n/);
  await cordon(false);
  assert.equal((await ended(farm, first)).state, "ready");
  assert.match(await why(first), /\(v1\) is ready\n {2}it is live since .*generation 1: publish by token:/);
  problemOf(await send(farm, "/v1/publishes/pub_none/why"), 404, "NOT_FOUND");
});

test("a release that the hold of its org keeps back says so to publish, to why and to other programs", async () => {
  await publishReady(farm, "held", appArchive({ a: "1" }));
  assert.equal((await send(farm, "/v1/orgs/default/holds", { json: { reason: "freeze" } })).status, 200);
  const answer = await publish(farm, "held", appArchive({ a: "2" }), { waitSeconds: 30 });
  const { publish_id: id, held } = answer.body;
  assert.equal(held?.level, "org");
  const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
  const waited = await runCli(["wait", id, "--require-active"], { env });
  assert.equal(waited.code, 7);
  assert.match(waited.stderr, /the org default is held; `granary unhold default` lets/);
  const text = await why("default/held@v2");
  assert.match(
    text,
    /^default\/held@v2 is ready\n {2}the org default is held since .* by token:.*: freeze; /,
  );
  assert.match(text, /next: granary activate default\/held@v2\n$/);
  assert.equal((await send(farm, "/v1/orgs/default/holds", { method: "DELETE" })).status, 200);
  const path = "/v1/orgs/default/projects/held/releases";
  assert.deepEqual(await codes(`${path}/v2/why`), ["hold_over", "no_retention"]);
  assert.deepEqual(await codes(`${path}/current/why`), ["live"]);
  assert.equal((await farm.json<PublishJson>(`/v1/publishes/${id}`)).held, null);
  const preview = await publish(farm, "held", appArchive({ a: "3" }), {
    query: { preview: "pr-1" },
    waitSeconds: 30,
  });
  assert.equal(preview.body.state, "ready", preview.text);
  assert.match(
    await why("default/held@preview/pr-1"),
    /^default\/held@preview\/pr-1 is ready\n {2}the preview/,
  );
});

test("what is not there is answered with what lists it, and a project that is not there with the projects", async () => {
  await publishReady(farm, "listed", appArchive({ a: "1" }));
  const [url, none] = [projectUrl("listed"), projectUrl("unlisted")];
  const hintOf = async (path: string, json?: object) => {
    const answer = await send(farm, path, json === undefined ? {} : { json });
    return problemOf(answer, 404, "NOT_FOUND").hint;
  };
  const inReleases = "`granary releases default/listed` lists what there is.";
  assert.equal(await hintOf(`${url}/releases/v9`), inReleases);
  assert.equal(await hintOf(`${url}/releases/abcdef9`), inReleases);
  assert.equal(await hintOf(`${url}/activations`, { version: "v9" }), inReleases);
  assert.equal(await hintOf(`${url}/rollbacks`, { to: "v9" }), inReleases);
  assert.match(await hintOf(`${url}/previews/x:promote`, {}), /granary preview ls default\/listed/);
  assert.match(await hintOf("/v1/publishes/pub_none"), /granary publishes ORG\/PROJECT/);
  assert.match(await hintOf("/default/listed/v1/whoami"), /A farm's URL ends behind host and port/);
  assert.match(await hintOf(`${none}/activations`, { version: "v1" }), /granary projects/);
  assert.match(await hintOf(`${none}/previews/x:promote`, {}), /granary projects/);
  const first = problemOf(await send(farm, `${url}/at?time=2020-01-01T00:00:00Z`), 409, "NOTHING_ACTIVE");
  assert.match(first.detail, /: v1 was the first, at 20/);
});

test("max_concurrency lets so many publishes of a project run at once, in order, and why and cancel know those that wait", async () => {
  await cordon(true);
  const ids: string[] = [];
  const send5 = async (from: number) => {
    for (let n = from; n < from + 5; n++)
      ids.push((await publish(farm, "calm", appArchive({ a: `${n}` }))).body.publish_id);
  };
  await send5(0);
  const set = (value: string) =>
    runCli(["project", "set", "default/calm", `max_concurrency=${value}`], {
      env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token },
    });
  assert.equal((await set("1")).code, 0);
  // From before the limit all five have a job in the queue; of these none has.
  await send5(5);
  const [first = "", second = "", third = ""] = ids;
  assert.match(
    await why(third),
    /no more than 1 publish of default\/calm is worked on at once.*, and 1 that was/,
  );
  assert.deepEqual(await codes(`/v1/publishes/${first}/why`), ["nodes_cordoned"]);
  assert.equal((await send(farm, `/v1/publishes/${second}:cancel`, { json: {} })).status, 200);
  await cordon(false);
  for (const id of ids) await ended(farm, id);
  const events = await farm.json<Page<{ type: string; subject: string }>>(
    "/v1/events?project=calm&limit=200",
  );
  let running = 0;
  const begun: string[] = [];
  for (const { type, subject } of events.items) {
    if (type === "dev.granary.publish.started.v1") {
      running += 1;
      begun.push(subject);
    }
    if (type === "dev.granary.release.ready.v1") running -= 1;
    assert.ok(running <= 1, `${running} ran at once`);
  }
  assert.deepEqual(
    begun,
    ids.filter((id) => id !== second),
  );
  const bad = await set("0");
  assert.deepEqual([bad.code, /none or a number/.test(bad.stderr)], [4, true]);
  assert.equal((await set("none")).code, 0);
});
