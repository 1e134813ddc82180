import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestFarm } from "../helpers/farm.ts";
import { projectUrl, publishReady, send } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { type Row, type Section, valueRow } from "./row.ts";
import { smallApp } from "./small-app.ts";
import { percentile } from "./statistics.ts";
import { type Subscriber, subscribe } from "./subscriber.ts";

const COMMITS = 200;
const WARM_UP = 20;
/** What the target's load is. */
const LARGE_PER_SECOND = 10;
/** Publishes under way at once; beyond it the load waits, and says so. */
const LARGE_AT_ONCE = 8;

/** Activations and rollbacks in turn, and when a subscriber hears of them: alone, and while large archives are published. */
export async function measureActivation({ folder, changed }: Bench): Promise<Section> {
  return withBenchFarm(join(folder, "activation"), [], async (farm) => {
    for (const number of [1, 2]) await publishReady(farm, "app", smallApp(number));
    const archives = changed.map((file) => readFileSync(file));
    await publishReady(farm, "large", archives[0] ?? Buffer.alloc(0));
    const subscriber = await subscribe(farm, "app");
    try {
      await moves(farm, subscriber, WARM_UP);
      const idle = await moves(farm, subscriber, COMMITS);
      const load = startLoad(farm, archives);
      const loaded = await moves(farm, subscriber, COMMITS);
      const perSecond = await load.stop();
      return {
        title: "Activation and rollback",
        rows: [
          ...rowsOf("idle", idle, { p50: 4, p99: 15 }),
          ...rowsOf("under load", loaded, { p99: 40 }),
          valueRow("the load: warm archives published beside it", perSecond, "/s"),
        ],
        notes: [
          `${COMMITS} commands each over HTTP, from the request's first byte to its answer, or to the event's arrival over SSE. The load's archives repeat.`,
        ],
      };
    } finally {
      subscriber.close();
    }
  });
}

interface Moves {
  readonly commitMs: readonly number[];
  readonly eventMs: readonly number[];
}

async function moves(farm: TestFarm, subscriber: Subscriber, count: number): Promise<Moves> {
  const commitMs: number[] = [];
  const eventMs: number[] = [];
  const activation = { json: { version: "v2" } };
  for (let i = 0; i < count; i++) {
    const startedMs = performance.now();
    const answer =
      i % 2 === 0
        ? await send(farm, `${projectUrl("app")}/rollbacks`, { json: { to: "v1" } })
        : await send(farm, `${projectUrl("app")}/activations`, activation);
    commitMs.push(performance.now() - startedMs);
    if (answer.status !== 200) throw new Error(`a move of the pointer was answered ${answer.text}`);
    eventMs.push((await subscriber.next()) - startedMs);
  }
  return { commitMs, eventMs };
}

function rowsOf(when: string, { commitMs, eventMs }: Moves, reach: { p50?: number; p99: number }): Row[] {
  return [
    valueRow(
      `commit, ${when}, p50`,
      percentile(commitMs, 0.5),
      "ms",
      reach.p50 === undefined ? {} : { reach: { atMost: reach.p50 } },
    ),
    valueRow(`commit, ${when}, p99`, percentile(commitMs, 0.99), "ms", { reach: { atMost: reach.p99 } }),
    valueRow(`event at a subscriber, ${when}, p99`, percentile(eventMs, 0.99), "ms", {
      reach: { atMost: 75 },
    }),
  ];
}

function startLoad(farm: TestFarm, archives: readonly Buffer[]): { stop(): Promise<number> } {
  const startedMs = performance.now();
  let stopping = false;
  let published = 0;
  let begun = 0;
  const work = async (): Promise<void> => {
    while (!stopping) {
      const archive = archives[begun % archives.length] ?? Buffer.alloc(0);
      const dueMs = startedMs + (1000 * begun++) / LARGE_PER_SECOND;
      await sleep(Math.max(0, dueMs - performance.now()));
      await publishReady(farm, `large-${begun % LARGE_AT_ONCE}`, archive);
      published += 1;
    }
  };
  const workers = Array.from({ length: LARGE_AT_ONCE }, work);
  return {
    async stop() {
      stopping = true;
      const tookMs = performance.now() - startedMs;
      const perSecond = (1000 * published) / tookMs;
      await Promise.all(workers);
      return perSecond;
    },
  };
}
