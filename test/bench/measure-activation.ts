import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestFarm } from "../helpers/farm.ts";
import { projectUrl, publishReady, send } from "../helpers/farm-requests.ts";
import type { LoadMessage, LoadOrder } from "./archive-load-main.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { type Row, type Section, valueRow } from "./row.ts";
import { smallApp } from "./small-app.ts";
import { percentile } from "./statistics.ts";
import { type Subscriber, subscribe } from "./subscriber.ts";

const COMMITS = 500;
/** Of a farm that has worked all day the code is compiled. */
const WARM_UP = 200;
/** What the target's load is. */
const LARGE_PER_SECOND = 10;
const LARGE_AT_ONCE = 8;
const LOAD_MAIN = fileURLToPath(new URL("./archive-load-main.js", import.meta.url));

/** Activations and rollbacks in turn, and when a subscriber hears of them: alone, and while large archives are published. */
export async function measureActivation({ folder, changed }: Bench): Promise<Section> {
  return withBenchFarm(join(folder, "activation"), [], async (farm) => {
    for (const number of [1, 2]) await publishReady(farm, "app", smallApp(number));
    const subscriber = await subscribe(farm, "app");
    try {
      await moves(farm, subscriber, WARM_UP);
      const idle = await moves(farm, subscriber, COMMITS);
      const load = await startLoad(farm, changed);
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
          `${COMMITS} commands each over HTTP, after ${WARM_UP}, from the request's first byte to its answer, or to the event's arrival over SSE. The load comes from another process, after a publish of each of its ${LARGE_AT_ONCE} projects; its archives repeat.`,
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

async function startLoad(farm: TestFarm, archives: readonly string[]): Promise<{ stop(): Promise<number> }> {
  const { url, token } = farm;
  const order: LoadOrder = { url, token, archives, perSecond: LARGE_PER_SECOND, atOnce: LARGE_AT_ONCE };
  const child = fork(LOAD_MAIN, [JSON.stringify(order)]);
  const heard = async (): Promise<LoadMessage> => {
    const [message] = await Promise.race([once(child, "message"), once(child, "exit")]);
    if (typeof message !== "object") throw new Error(`the load ended with exit code ${message}`);
    return message as LoadMessage;
  };
  await heard();
  return {
    async stop() {
      const said = heard();
      child.send("stop");
      const message = await said;
      return message.type === "stopped" ? message.perSecond : Number.NaN;
    },
  };
}
