import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestFarm } from "../helpers/farm.ts";
import { projectUrl, publishReady } from "../helpers/farm-requests.ts";
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
  for (let i = 0; i < count; i++) {
    const startedMs = performance.now();
    const status =
      i % 2 === 0
        ? await post(farm, `${projectUrl("app")}/rollbacks`, { to: "v1" })
        : await post(farm, `${projectUrl("app")}/activations`, { version: "v2" });
    commitMs.push(performance.now() - startedMs);
    if (status !== 200) throw new Error(`a move of the pointer was answered ${status}`);
    eventMs.push((await subscriber.next()) - startedMs);
  }
  return { commitMs, eventMs };
}

const agent = new Agent({ keepAlive: true });

/** With nothing between the answer's last byte and the time that is taken. @returns its status */
function post({ url, token }: TestFarm, path: string, json: object): Promise<number> {
  const body = JSON.stringify(json);
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "content-length": body.length,
  };
  return new Promise((resolve, reject) => {
    const sending = request(`${url}${path}`, { agent, method: "POST", headers }, (answer) => {
      answer.on("end", () => resolve(answer.statusCode ?? 0)).resume();
    });
    sending.on("error", reject).end(body);
  });
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
