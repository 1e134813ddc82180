import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestFarm } from "../helpers/farm.ts";
import { publishReady, storeStat } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { startBenchFarm } from "./bench-farm.ts";
import { farmUsage, usageSince } from "./farm-usage.ts";
import { type Filled, fillStore } from "./fill-store.ts";
import { type Row, roundsRow, type Section, valueRow } from "./row.ts";
import { settle } from "./settle.ts";
import { timesFaster } from "./statistics.ts";

const TITLE = "Growth of the store";
const FEW = 1e5;
const WARM_UP = 4;
/** Kernel ticks are 10 ms: a mean of this many publishes is known to half a millisecond. */
const PUBLISHES = 24;
const SETTLE_MS = 20;
/** Behind the numbers of the changes that every measurement shares. */
const FIRST_CHANGE = 500;
/** The check in the background would read the large store all the time, and be done with the small one. */
const SETTINGS = 'scrub_rate = "off"\ngc_interval = "off"\n';

/**
 * What a publish costs in a store of few and of many blobs: two farms side by side, which are sent the same archives in turns. The blobs
 * are real ones, put and committed through the store itself: small, so that ten million fit, with keys as spread as those of any content.
 */
export async function measureGrowth(bench: Bench): Promise<Section> {
  const sizes = [...new Set([Math.min(FEW, bench.blobs), bench.blobs])];
  // None twice: of a tree that is known nothing is looked up.
  const archives = Array.from({ length: WARM_UP + PUBLISHES }, (_, number) =>
    readFileSync(bench.corpus.changed(FIRST_CHANGE + number)),
  );
  const stores: Filled[] = [];
  for (const [i, blobs] of sizes.entries())
    stores.push(await fillStore(join(bench.folder, String(i), "data", "store"), blobs));
  settle(bench.folder);
  const grown: Grown[] = [];
  try {
    for (const [i, filled] of stores.entries()) grown.push(await start(bench, filled, i));
    for (const [round, archive] of archives.entries()) {
      // Of connections that ended while this process was busy the next request would be told.
      await sleep(SETTLE_MS);
      for (const one of round % 2 === 0 ? grown : grown.toReversed())
        await publish(one, archive, round >= WARM_UP);
    }
  } finally {
    for (const { farm } of grown) await farm.stop();
  }
  const [few] = grown;
  const many = grown.at(-1);
  return {
    title: TITLE,
    rows: [
      ...grown.flatMap(rowsOf),
      ...(few === undefined || many === undefined || many === few ? [] : ratios(few, many)),
    ],
    notes: [
      "Blobs of 16 bytes beside the corpus, put through the store's own writer; a farm for each size, which take turns on the same archives.",
    ],
  };
}

/** A farm whose store has that many blobs, and the corpus. */
interface Grown {
  readonly farm: TestFarm;
  readonly filled: Filled;
  readonly diskBytes: number;
  readonly startMs: number;
  readonly wallMs: number[];
  readonly cpuMs: number[];
}

async function start({ folder, corpus }: Bench, filled: Filled, i: number): Promise<Grown> {
  const { blobs } = filled;
  const own = join(folder, String(i));
  const config = join(own, "farm.toml");
  writeFileSync(config, SETTINGS);
  const startedMs = performance.now();
  const farm = await startBenchFarm(own, ["--config", config]);
  const startMs = performance.now() - startedMs;
  try {
    const { blobs: indexed, disk_bytes: diskBytes } = await storeStat(farm);
    if (indexed < blobs) throw new Error(`the farm's store has ${indexed} blobs instead of ${blobs}`);
    await publishReady(farm, "app", readFileSync(corpus.archive), { waitSeconds: 120 });
    return { farm, filled, diskBytes, startMs, wallMs: [], cpuMs: [] };
  } catch (error) {
    await farm.stop();
    throw error;
  }
}

async function publish({ farm, wallMs, cpuMs }: Grown, archive: Buffer, isMeasured: boolean): Promise<void> {
  const before = farmUsage(farm);
  const startedMs = performance.now();
  await publishReady(farm, "app", archive, { waitSeconds: 120 });
  if (!isMeasured) return;
  wallMs.push(performance.now() - startedMs);
  cpuMs.push(usageSince(farm, before).cpuMs);
}

function rowsOf({ filled, diskBytes, startMs, wallMs, cpuMs }: Grown): Row[] {
  const { blobs, seconds, peakBytes } = filled;
  const beside = `beside ${blobs} blobs`;
  const took = `filled in ${seconds.toFixed(0)} s with ${(peakBytes / 1e6).toFixed(0)} MB of memory`;
  return [
    roundsRow(`warm publish, ${beside}`, wallMs, {
      note: `${(diskBytes / 1e6).toFixed(0)} MB of disk, ${took}`,
    }),
    valueRow(`CPU of the farm for it, ${beside}`, mean(cpuMs), "ms CPU"),
    valueRow(`start of the farm, ${beside}`, startMs, "ms"),
  ];
}

function ratios(few: Grown, many: Grown): Row[] {
  const reach = { atMost: 1.2 };
  const at = `at ${many.filled.blobs} by at ${few.filled.blobs} blobs`;
  return [
    valueRow(`time of a warm publish, ${at}`, timesFaster(few.wallMs, many.wallMs), "x", { reach }),
    valueRow(`CPU of a warm publish, ${at}`, mean(many.cpuMs) / mean(few.cpuMs), "x", { reach }),
  ];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}
