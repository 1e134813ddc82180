import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { publishReady } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { peakMemory } from "./farm-usage.ts";
import { inFlight } from "./in-flight.ts";
import { type Section, valueRow } from "./row.ts";
import { settle } from "./settle.ts";
import { smallServices } from "./small-app.ts";
import { percentile } from "./statistics.ts";
import { timed } from "./timed.ts";

const LARGE_AT_ONCE = 4;
const SMALL_PUBLISHES = 800;
const SMALL_WARM_UP = 150;
const SMALL_AT_ONCE = 32;
const SMALL_PROJECTS = 8;
const PACED_PUBLISHES = 400;

/** What a farm does when it is never left alone, on two threads: large archives side by side with tar, then small ones. */
export async function measureLoad({ folder, corpus, changed, warmUp }: Bench): Promise<Section> {
  return withBenchFarm(join(folder, "load"), ["--threads", "2"], async (farm) => {
    for (const file of warmUp) await publishReady(farm, "warm-up", readFileSync(file));
    // Each archive once: of a tree that is known nothing is read.
    const large = changed.map((file, i) => {
      const archive = readFileSync(file);
      return () => publishReady(farm, `large-${i % LARGE_AT_ONCE}`, archive);
    });
    settle(folder);
    const largePerSecond = (1000 * large.length) / (await inFlight(large, LARGE_AT_ONCE));
    settle(folder);
    const tarPerSecond = untarAll({ folder, archives: changed }, large.length);
    const archiveOf = smallServices(corpus);
    const small = Array.from({ length: SMALL_WARM_UP + SMALL_PUBLISHES + PACED_PUBLISHES }, (_, i) => {
      const archive = archiveOf(i);
      return () => publishReady(farm, `small-${i % SMALL_PROJECTS}`, archive);
    });
    await inFlight(small.slice(0, SMALL_WARM_UP), SMALL_AT_ONCE);
    settle(folder);
    const busy = await flood(small.slice(SMALL_WARM_UP, SMALL_WARM_UP + SMALL_PUBLISHES));
    const paced = await atRate(small.slice(SMALL_WARM_UP + SMALL_PUBLISHES), busy.perSecond / 2);
    return {
      title: "Under load, two threads, over HTTP, accepted to ready",
      rows: [
        valueRow("warm archives", largePerSecond, "/s"),
        valueRow("xargs -P2 tar xzf", tarPerSecond, "/s"),
        valueRow("warm archives by xargs -P2 tar xzf", largePerSecond / tarPerSecond, "x", {
          reach: { atLeast: 2.5 },
        }),
        valueRow(
          `small app (51 files, ${kilobytes(archiveOf(0))}), ${SMALL_AT_ONCE} at once`,
          busy.perSecond,
          "/s",
          {
            reach: { atLeast: 250 },
          },
        ),
        valueRow("small app, p50 at that rate", percentile(busy.times, 0.5), "ms"),
        valueRow("small app, p99 at that rate", percentile(busy.times, 0.99), "ms"),
        valueRow("small app, p99 at half that rate", percentile(paced, 0.99), "ms", {
          reach: { atMost: 250 },
        }),
        valueRow("peak memory of the farm's process", peakMemory(farm) / 1e6, "MB"),
      ],
    };
  });
}

function kilobytes({ byteLength }: Buffer): string {
  return `${(byteLength / 1e3).toFixed(0)} KB`;
}

async function flood(
  tasks: readonly (() => Promise<unknown>)[],
): Promise<{ perSecond: number; times: readonly number[] }> {
  const times: number[] = [];
  const tookMs = await inFlight(
    tasks.map((one) => async () => {
      times.push(await timed(one));
    }),
    SMALL_AT_ONCE,
  );
  return { perSecond: (1000 * tasks.length) / tookMs, times };
}

/** Begins them at a steady rate, whether earlier ones have ended or not. @returns ms of each, from when it was due */
async function atRate(tasks: readonly (() => Promise<unknown>)[], perSecond: number): Promise<number[]> {
  const startedMs = performance.now();
  return Promise.all(
    tasks.map(async (one, i) => {
      const dueMs = startedMs + (1000 * i) / perSecond;
      await sleep(Math.max(0, dueMs - performance.now()));
      await one();
      return performance.now() - dueMs;
    }),
  );
}

function untarAll(
  { folder, archives }: { folder: string; archives: readonly string[] },
  count: number,
): number {
  const lines = Array.from({ length: count }, (_, i) => {
    const target = join(folder, "load", `tar-${i}`);
    mkdirSync(target, { recursive: true });
    return `${archives[i % archives.length]} ${target}`;
  });
  const startedMs = performance.now();
  execFileSync("xargs", ["-P2", "-n2", "sh", "-c", 'tar xzf "$0" -C "$1"'], { input: lines.join("\n") });
  return (1000 * count) / (performance.now() - startedMs);
}
