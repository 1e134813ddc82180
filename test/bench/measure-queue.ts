import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LIMITS } from "../../proto/limits.ts";
import { parseName } from "../../proto/names.ts";
import { type Bus, connectBus, type JobDelivery } from "../../services/shared/bus.ts";
import { natsCredentials } from "../../services/shared/nats-keys.ts";
import { startNatsServer } from "../../services/shared/nats-server.ts";
import type { Bench } from "./bench.ts";
import { inFlight } from "./in-flight.ts";
import { type Row, roundsRow, type Section, valueRow } from "./row.ts";
import { percentile, timesFaster } from "./statistics.ts";

const FEW = 500;
const DECISIONS = 200;
const WARM_UP = 50;
const PULLS = 500;
/** Each is synced before it is acknowledged; more at once share a sync. */
const PUTS_AT_ONCE = 256;
const SILENT = { info: () => undefined, warn: () => undefined };
const PROJECT = parseName("app", "project");

/** What it takes a node to get its next job and to acknowledge it, with few and with many jobs in the queue. */
export async function measureQueue({ folder, full, queued }: Bench): Promise<Section> {
  // By default what one org may queue: more takes minutes to put in.
  const many = Math.max(FEW, full ? queued : LIMITS.queuedPublishesPerOrg);
  const server = await startNatsServer({ dataDir: ownFolder(folder), log: SILENT });
  try {
    const credentials = natsCredentials(folder, "admin");
    const bus = await connectBus({ servers: server.url, credentials, name: "bench" });
    try {
      await bus.ensureStreams();
      await put(bus, 0, FEW);
      await decisions(bus, WARM_UP);
      const few = await decisions(bus, DECISIONS);
      await put(bus, FEW, many + DECISIONS + WARM_UP);
      const grown = await decisions(bus, DECISIONS);
      return {
        title: "Queue decision",
        rows: [
          ...rowsOf(`${FEW} jobs queued`, few),
          ...rowsOf(`${many} jobs queued`, grown),
          valueRow(`at ${many} by at ${FEW} jobs`, timesFaster(few, grown), "x", { reach: { atMost: 1.2 } }),
        ],
        notes: [
          "A pull of the next job of an org and its acknowledgement, over the bus; jobs of as many orgs as their quota asks for.",
        ],
      };
    } finally {
      await bus.close();
    }
  } finally {
    await server.close();
  }
}

function ownFolder(folder: string): string {
  mkdirSync(join(folder, "nats"), { recursive: true });
  return folder;
}

/** Jobs `from` to `to`, below the quota of each org; the first org's are pulled. */
async function put(bus: Bus, from: number, to: number): Promise<void> {
  const jobs = Array.from({ length: to - from }, (_, i) => from + i);
  await inFlight(
    jobs.map((number) => async () => {
      const org = orgOf(number);
      const job = { v: 1, publish_id: `pub_${number}`, org, project: PROJECT, order: number } as const;
      if ((await bus.publishJobs.publish("prod", job)) === "full")
        throw new Error(`job ${number} was refused: the quota of ${org} is used up`);
    }),
    PUTS_AT_ONCE,
  );
}

function orgOf(number: number): ReturnType<typeof parseName> {
  return parseName(`org-${Math.floor(number / LIMITS.queuedPublishesPerOrg)}`, "org");
}

async function decisions(bus: Bus, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedMs = performance.now();
    // A server that is busy for the 20 ms that a pull waits says that there is none: part of what a decision takes.
    let job: JobDelivery | undefined;
    for (let pulls = 0; job === undefined; pulls++) {
      if (pulls === PULLS) throw new Error("a queue with jobs gave none");
      job = await bus.publishJobs.pull("prod", orgOf(0));
    }
    await job.ack();
    times.push(performance.now() - startedMs);
  }
  return times;
}

function rowsOf(when: string, times: readonly number[]): Row[] {
  return [
    roundsRow(`next job, ${when}`, times),
    valueRow(`next job, ${when}, p99`, percentile(times, 0.99), "ms"),
  ];
}
