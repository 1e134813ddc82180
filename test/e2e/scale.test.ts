import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { NodeJson, PublishJson, QueueJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { type CliResult, runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, makeToken, publish, publishReady, send } from "../helpers/farm-requests.ts";

/** Nodes change while they work: threads come and go, jobs are kept away, and both outlive the process. */
const folder = tempDir("scale");
after(() => removeDir(folder));
const LIMIT_MS = 30_000;

async function node(farm: TestFarm): Promise<NodeJson> {
  const { items } = await farm.json<{ items: NodeJson[] }>("/v1/nodes");
  assert.equal(items.length, 1);
  return items[0] as NodeJson;
}

function cli(farm: TestFarm, ...args: string[]): Promise<CliResult> {
  return runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token } });
}

function threadsOf(farm: TestFarm): number {
  return readdirSync(`/proc/${farm.pid}/task`).length;
}

const data = join(folder, "data");
const args = ["--threads", "1", "--label", "disk=ssd"];
let farm: TestFarm;

test("threads are scaled under running publishes: none is lost, none doubled, and a kill -9 keeps the setting", async () => {
  farm = await startTestFarm({ data, args });
  const before = await node(farm);
  assert.equal(before.threads, 1);
  assert.equal(before.threads_default, undefined);
  await publishReady(farm, "warm", appArchive({ a: "1" }));
  const processThreads = threadsOf(farm);

  const wanted = [4, 2, 6, 1, 3];
  const archives = Array.from({ length: 60 }, (_, i) => appArchive({ a: `content ${i}`, b: "same" }));
  const publishing = Promise.all(
    archives.map((archive, i) =>
      publish<PublishJson>(farm, `p${i % 3}`, archive, { query: { commit: `${i}`.padStart(7, "0") } }),
    ),
  );
  for (const threads of wanted) {
    const answer = await cli(farm, "scale", "local", "--threads", String(threads), "--json");
    assert.equal(answer.code, 0, answer.stdout + answer.stderr);
    assert.equal((JSON.parse(answer.stdout) as NodeJson[])[0]?.threads, threads);
  }
  const ends = await Promise.all((await publishing).map(({ body }) => ended(farm, body.publish_id)));
  assert.deepEqual(
    ends.filter(({ state }) => state !== "ready"),
    [],
  );
  for (const project of [0, 1, 2]) {
    const versions = ends.flatMap(({ version }, i) => (i % 3 === project ? [version] : []));
    assert.deepEqual(
      versions.sort(byVersion),
      Array.from({ length: 20 }, (_, i) => `v${i + 1}`),
    );
  }
  // One thread at the start, three now.
  await eventually(() => (threadsOf(farm) === processThreads + 2 ? true : undefined), LIMIT_MS, "3 threads");
  const listed = await cli(farm, "node", "ls");
  assert.match(listed.stdout, /0\/3 busy \(default 1\)/);

  await farm.kill();
  farm = await startTestFarm({ data, args });
  assert.deepEqual([(await node(farm)).threads, (await node(farm)).threads_default], [3, 1]);
  await publishReady(farm, "p0", appArchive({ a: "after" }));
  const back = await cli(farm, "scale", "-l", "disk=ssd", "--threads", "default");
  assert.equal(back.stdout, "local: 1 threads\n", back.stderr);
});

test("a cordoned node takes no job, not after a restart either, until it is uncordoned", async () => {
  const drained = await cli(farm, "drain", "--all", "--json");
  assert.equal(drained.code, 0, drained.stdout);
  assert.equal((await node(farm)).state, "cordoned");
  const waiting = await publish<PublishJson>(farm, "bot", appArchive({ a: "1" }));
  assert.equal(waiting.status, 202);
  assert.equal(await farm.stop(), 0);
  farm = await startTestFarm({ data, args });
  const { threads, threads_default } = await node(farm);
  assert.deepEqual([threads, threads_default], [1, undefined], "what was taken back stays so");
  const still = await send<PublishJson>(farm, `/v1/publishes/${waiting.body.publish_id}?wait=1`);
  assert.equal(still.body.state, "queued");
  const { lanes } = await farm.json<QueueJson>("/v1/queue");
  assert.deepEqual(lanes, [
    {
      lane: "prod",
      org: "default",
      queued: 1,
      running: 0,
      oldest_publish: waiting.body.publish_id,
      oldest_age_ms: lanes[0]?.oldest_age_ms,
    },
  ]);
  assert.ok((lanes[0]?.oldest_age_ms ?? 0) >= 1_000);
  assert.match(
    (await cli(farm, "queue", "ls")).stdout,
    new RegExp(`default +1 +0 +${waiting.body.publish_id}`),
  );
  const uncordoned = await cli(farm, "uncordon", "local");
  assert.equal(uncordoned.code, 0, uncordoned.stderr);
  assert.equal((await ended(farm, waiting.body.publish_id)).state, "ready");
  assert.equal((await node(farm)).state, "ready");
  assert.deepEqual(await farm.json<QueueJson>("/v1/queue"), { lanes: [] });

  const refused: readonly [string[], number, RegExp][] = [
    [["scale", "local"], 4, /--threads wants a number from 1 to 256, or default; it is missing/],
    [["scale", "local", "--threads", "0"], 4, /from 1 to 256/],
    [["scale", "local", "--threads", "257"], 4, /from 1 to 256/],
    [["scale", "--threads", "2"], 4, /say which nodes/],
    [["scale", "local", "--all", "--threads", "2"], 4, /say which nodes/],
    [["scale", "elsewhere", "--threads", "2"], 6, /no node elsewhere; there are: local/],
    [["cordon", "-l", "gpu=yes"], 6, /no node has these labels/],
    [["cordon", "-l", "gpu"], 4, /KEY=VALUE/],
  ];
  for (const [line, code, message] of refused) {
    const answer = await cli(farm, ...line);
    assert.equal(answer.code, code, line.join(" "));
    assert.match(answer.stderr, message);
  }
  const reader = await makeToken(farm, "default", ["admin", "farm:read"]);
  const forbidden = await send(farm, "/v1/nodes/local", {
    method: "PUT",
    json: { threads: 2 },
    token: reader.token,
  });
  assert.equal(forbidden.status, 403);
  for (const json of [{ threads: 0 }, { threads: 257 }, { threads: 1.5 }, { treads: 2 }])
    assert.equal((await send(farm, "/v1/nodes/local", { method: "PUT", json })).status, 400);
  assert.equal(await farm.stop(), 0);
});

function byVersion(a: string | undefined, b: string | undefined): number {
  return Number(a?.slice(1)) - Number(b?.slice(1));
}
