import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { CurrentJson, Page, ReleaseJson } from "../../proto/http.ts";
import type { PointerJson } from "../../proto/http-pointer.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCliProcess } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { projectUrl, publishReady, send } from "../helpers/farm-requests.ts";

const folder = tempDir("lost-log");
after(() => removeDir(folder));
const data = join(folder, "data");
const config = join(folder, "granary.toml");
mkdirSync(folder, { recursive: true });
writeFileSync(config, "[snapshots]\nevery = 6\nkeep = 2\n");

/** The cache in which set-up keeps nats-server: a CLI under test has a home of its own. */
const cache = Object.fromEntries(
  ["HOME", "XDG_CACHE_HOME", "GRANARY_CACHE", "NATS_SERVER_BIN"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }),
);

function start(): Promise<TestFarm> {
  return startTestFarm({ data, args: ["--config", config] });
}

function cli(...args: string[]) {
  return runCliProcess(args, { cwd: folder, env: cache });
}

interface Seen {
  readonly current: CurrentJson;
  readonly releases: readonly ReleaseJson[];
  readonly events: readonly EventRow[];
}

interface EventRow {
  readonly id: string;
  readonly granarycursor: string;
  readonly data: Record<string, unknown>;
}

async function events(farm: TestFarm, cursor?: string): Promise<Page<EventRow>> {
  const query = cursor === undefined ? "" : `&cursor=${cursor}`;
  return farm.json<Page<EventRow>>(`/v1/events?limit=200${query}`, {
    headers: { accept: "application/json" },
  });
}

/** What a user can see; URLs name a port that changes. */
async function look(farm: TestFarm): Promise<Seen> {
  const plain = <T extends object>(value: T): T => ({ ...value, url: "", image_ref: "" });
  const list = await farm.json<Page<ReleaseJson>>(`${projectUrl("app")}/releases`);
  return {
    current: plain(await farm.json<CurrentJson>(`${projectUrl("app")}/current`)),
    releases: list.items.map(plain),
    events: (await events(farm)).items,
  };
}

test("a trimmed log, a lost state and a lost log: the farm goes on from its snapshot and its state, and nothing is missing", {
  timeout: 180_000,
}, async () => {
  let farm = await start();
  for (let i = 1; i <= 4; i++) await publishReady(farm, "app", appArchive({ "version.txt": `${i}` }));
  for (let i = 0; i < 8; i++)
    await send(farm, `${projectUrl("app")}/activations`, { json: { version: `v${1 + (i % 2)}` } });
  await eventually(
    () => (farm.log().includes("was trimmed") ? true : undefined),
    30_000,
    "the log is trimmed",
  );
  const { snapshots } = await farm.json<PointerJson>("/v1/pointer");
  assert.equal(snapshots.length, 2);
  const before = await look(farm);
  assert.equal(before.releases.length, 4);
  await farm.stop();

  rmSync(join(data, "state"), { recursive: true });
  farm = await start();
  assert.match(farm.log(), /goes on from a snapshot/);
  assert.deepEqual(await look(farm), before);
  await farm.stop();

  const fitting = await cli("pointer", "reseed", "--data", data, "--json");
  assert.deepEqual([fitting.code, JSON.parse(fitting.stdout).needed], [0, false]);

  rmSync(join(data, "nats", "jetstream"), { recursive: true });
  const refused = await cli("up", "--data", data, "--port", "0", "--json");
  assert.equal(refused.code, 3);
  assert.match(refused.stdout + refused.stderr, /STATE_BEHIND/);
  assert.match(refused.stdout + refused.stderr, /granary pointer reseed/);

  const asked = await cli("pointer", "reseed", "--data", data);
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(asked.stdout, /--yes/);
  const done = await cli("pointer", "reseed", "--data", data, "--yes", "--json");
  assert.equal(JSON.parse(done.stdout).reseeded, true, done.stderr);

  farm = await start();
  assert.deepEqual(await look(farm), before);
  const cursor = before.events.at(-1)?.granarycursor;
  const next = await publishReady(farm, "app", appArchive({ "version.txt": "5" }));
  assert.equal(next.version, "v5");
  const { items } = await events(farm, cursor);
  assert.deepEqual(
    [...before.events, ...items].map(({ id }) => id),
    (await events(farm)).items.map(({ id }) => id),
    "an old cursor goes on without gap",
  );
  assert.ok(items.length >= 3);
  const [seq] = cursor?.split("-") ?? [];
  const lost = await send(farm, `/v1/events?cursor=${Number(seq) + 5}-0`);
  assert.equal(
    lost.status,
    410,
    "a place that only the lost log had is none, however far the new one has come",
  );
  await eventually(
    async () => {
      const pointer = await farm.json<PointerJson>("/v1/pointer");
      return (pointer.snapshots[0] ?? 0) > (snapshots[0] ?? 0) ? true : undefined;
    },
    20_000,
    "a snapshot of the new log is taken at once",
  );
  await farm.stop();
});
