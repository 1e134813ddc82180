import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { PublishJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, natsPid, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { killUnderRetries } from "../helpers/retrying-clients.ts";

/**
 * Crash rounds: 50 concurrent publishes, something is killed with SIGKILL at a random moment, the farm comes back. Whatever was
 * answered 202 reaches exactly one terminal state; pointers are whole; every release's image can be pulled and verifies.
 */
const ROUNDS = Number(process.env["GRANARY_KILLS"] ?? 2);
const PUBLISHES = 50;
const PROJECTS = 5;
const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 1_000_000);
const folder = tempDir("crash");
after(() => removeDir(folder));

let random = seed;
/** Park and Miller's minimal standard generator: repeatable from the printed seed. */
function next(below: number): number {
  random = (random * 48_271) % 2_147_483_647;
  return random % below;
}

interface Accepted {
  readonly id: string;
  readonly project: string;
}

test(`what was answered 202 ends exactly once, whatever is killed (${ROUNDS} rounds, seed ${seed})`, {
  timeout: 600_000,
}, async (t) => {
  const data = join(folder, "data");
  const accepted: Accepted[] = [];
  let farm = await startTestFarm({ data });
  for (let round = 0; round < ROUNDS; round++) {
    const victim = round % 2 === 0 ? "farm" : "nats-server";
    const killAfterMs = 50 + next(1_500);
    const before = accepted.length;
    const publishing = publishMany(farm, round, accepted);
    await new Promise((resolve) => setTimeout(resolve, killAfterMs));
    if (victim === "farm") {
      await farm.kill();
      await publishing;
      farm = await startTestFarm({ data });
    } else {
      process.kill(natsPid(data), "SIGKILL");
      await publishing;
      await eventually(
        async () => ((await farm.fetch("/readyz")).ok ? true : undefined),
        30_000,
        "the farm is ready again",
      );
    }
    const states = await settle(farm, accepted.slice(before));
    t.diagnostic(
      `round ${round}: killed the ${victim} after ${killAfterMs} ms; ${accepted.length - before} of ${PUBLISHES} accepted, ${JSON.stringify(states)}`,
    );
  }
  await checkWhole(farm, accepted);
  t.diagnostic(`${accepted.length} accepted publishes in ${ROUNDS} rounds, each ended once`);
  assert.ok(accepted.length > 0, "a test in which nothing was accepted shows nothing");
  assert.equal(await farm.stop(), 0);
});

test(`a command whose answer was lost has one effect, and asked again its one result (${ROUNDS} kills, seed ${seed})`, {
  timeout: 600_000,
}, async (t) => {
  const data = join(folder, "retries");
  const counts = await killUnderRetries({
    seed,
    kills: ROUNDS,
    clients: 8,
    start: (port = "0") => startTestFarm({ data, port, args: ["--threads", "1"] }),
  });
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.unanswered > 0, "a test in which every answer came shows nothing");
});

async function publishMany(farm: TestFarm, round: number, accepted: Accepted[]): Promise<void> {
  await Promise.all(
    Array.from({ length: PUBLISHES }, async (_, i) => {
      const project = `app-${i % PROJECTS}`;
      const body = appArchive({
        "shared.txt": "the same everywhere\n".repeat(500),
        "own.txt": `${round}/${i}`.repeat(1 + next(3_000)),
      });
      try {
        const response = await farm.fetch(
          `/v1/orgs/default/projects/${project}/publishes?commit=${(round * 1000 + i + 0x1000000).toString(16)}`,
          {
            method: "POST",
            body,
          },
        );
        const answer = (await response.json()) as PublishJson;
        if (response.status === 202) accepted.push({ id: answer.publish_id, project });
        else
          assert.ok(
            response.status === 503 || response.status === 504,
            `${response.status} ${JSON.stringify(answer)}`,
          );
      } catch (error) {
        // The connection died with the farm: nothing was promised.
        if (error instanceof assert.AssertionError) throw error;
      }
    }),
  );
}

async function settle(farm: TestFarm, accepted: readonly Accepted[]): Promise<Record<string, number>> {
  const states: Record<string, number> = {};
  for (const { id } of accepted) {
    const publish = await eventually(
      async () => {
        const response = await farm.fetch(`/v1/publishes/${id}?wait=5`);
        if (!response.ok) return undefined;
        const record = (await response.json()) as PublishJson;
        return ["ready", "failed", "cancelled"].includes(record.state) ? record : undefined;
      },
      90_000,
      `publish ${id} ends`,
    );
    assert.equal(publish.state, "ready", JSON.stringify(publish.error));
    states[publish.state] = (states[publish.state] ?? 0) + 1;
  }
  return states;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

async function all<T>(farm: TestFarm, path: string): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const page: Page<T> = await farm.json(
      `${path}${path.includes("?") ? "&" : "?"}limit=200${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return items;
}

/** Pointers, versions, events and content of every project fit together. */
async function checkWhole(farm: TestFarm, accepted: readonly Accepted[]): Promise<void> {
  for (const project of new Set(accepted.map((one) => one.project))) {
    const base = `/v1/orgs/default/projects/${project}`;
    const releases = await all<{ version: string; state: string; image_digest: string; generation?: number }>(
      farm,
      `${base}/releases`,
    );
    const versions = releases.map((release) => Number(release.version.slice(1))).sort((a, b) => a - b);
    assert.deepEqual(
      versions,
      versions.map((_, i) => i + 1),
      `${project}: versions are 1..n`,
    );
    const current = await farm.json<{ version: string; generation: number }>(`${base}/current`);
    const active = releases.filter((release) => release.state === "active");
    assert.deepEqual(
      active.map((release) => release.version),
      [current.version],
      `${project}: exactly one release is active`,
    );
    const events = await all<{ sequence: string; id: string; type: string; data: { generation?: number } }>(
      farm,
      `/v1/events?project=${project}`,
    );
    assert.deepEqual(
      events.map((event) => Number(event.sequence)),
      events.map((_, i) => i + 1),
      `${project}: events have no gap`,
    );
    const generations = events
      .filter((event) => event.type.includes("release.activated"))
      .map((event) => event.data.generation);
    assert.deepEqual(
      generations,
      generations.map((_, i) => i + 1),
      `${project}: each generation was announced once`,
    );
    assert.equal(current.generation, generations.length);
    for (const release of releases) await pull(farm, project, release.image_digest);
  }
}

async function pull(farm: TestFarm, project: string, digest: string): Promise<void> {
  const get = async (kind: string, wanted: string): Promise<Buffer> => {
    const response = await farm.fetch(`/v2/default/${project}/${kind}/${wanted}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.status, 200, `${project} ${wanted}: ${bytes.toString("utf8").slice(0, 300)}`);
    assert.equal(digestOf(bytes), wanted);
    return bytes;
  };
  const manifest = JSON.parse((await get("manifests", digest)).toString("utf8")) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  await get("blobs", manifest.config.digest);
  for (const layer of manifest.layers) await get("blobs", layer.digest);
}
