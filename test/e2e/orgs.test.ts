import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { OrgJson } from "../../proto/http-org.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, publishReady, send } from "../helpers/farm-requests.ts";

const folder = tempDir("orgs");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

test("an operator makes an org, bounds it, and ends it when it is empty", async () => {
  const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
  const run = (...args: string[]) => runCli(args, { env });
  assert.equal((await run("org", "create", "acme")).stdout, "acme\n");
  assert.equal((await run("org", "create", "acme")).code, 0, "an org that is there stays");
  assert.equal((await run("org", "create", "Not A Name")).code, 4);
  const { token } = await makeToken(farm, "acme", ["admin"]);
  assert.equal((await run("org", "set", "acme", "max_queued=0")).code, 0);
  const listed = JSON.parse((await run("org", "ls", "--json")).stdout) as OrgJson[];
  assert.deepEqual(
    listed.map(({ org, settings }) => [org, settings.max_queued]),
    [
      ["acme", 0],
      ["default", undefined],
    ],
  );
  const full = await send(farm, "/v1/orgs/acme/projects/bot/publishes", {
    bytes: appArchive({ a: "1" }),
    token,
  });
  problemOf(full, 429, "RATE_LIMITED");
  assert.match((await run("org", "set", "acme", "max_queue=1")).stderr, /did you mean max_queued/);
  assert.equal((await run("org", "rm", "acme")).code, 0);
  problemOf(await send(farm, "/v1/whoami", { token }), 401, "UNAUTHENTICATED");
  assert.equal((await run("org", "rm", "acme")).code, 6);
});

test("an org with projects stays, as does the org of the token that asks, and admins of an org make none", async () => {
  await publishReady(farm, "app", appArchive({ a: "1" }), { org: "full" });
  problemOf(await send(farm, "/v1/orgs/full", { method: "DELETE" }), 409, "STATE_CONFLICT");
  problemOf(await send(farm, "/v1/orgs/default", { method: "DELETE" }), 409, "STATE_CONFLICT");
  const { token } = await makeToken(farm, "default", ["admin"]);
  problemOf(await send(farm, "/v1/orgs", { json: { org: "mine" }, token }), 403, "FORBIDDEN");
  problemOf(await send(farm, "/v1/orgs", { token }), 403, "FORBIDDEN");
});
