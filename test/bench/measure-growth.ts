import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publishReady, storeStat } from "../helpers/farm-requests.ts";
import { openStoreFixture } from "../helpers/store-fixture.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { farmUsage, usageSince } from "./farm-usage.ts";
import { type Row, roundsRow, type Section, valueRow } from "./row.ts";
import { settle } from "./settle.ts";
import { median } from "./statistics.ts";
import { timed } from "./timed.ts";

const FEW = 1e5;
/** A commit of that many puts is one transaction of about half a second. */
const BATCH = 50_000;
const BLOB_BYTES = 16;
const WARM_UP = 3;
/** Kernel ticks are 10 ms: a mean of this many publishes is known to half a millisecond. */
const PUBLISHES = 20;
/** Behind the numbers of the changes that every measurement shares. */
const FIRST_CHANGE = 500;

/**
 * What a publish costs in a store of few and of many blobs. They are real ones, put and committed through the store itself: small, so that
 * ten million fit, with keys as spread as those of any content.
 */
export async function measureGrowth(bench: Bench): Promise<Section> {
  const sizes = [...new Set([Math.min(FEW, bench.blobs), bench.blobs])];
  // None twice: of a tree that is known nothing is looked up.
  const archives = Array.from({ length: WARM_UP + PUBLISHES }, (_, number) =>
    readFileSync(bench.corpus.changed(FIRST_CHANGE + number)),
  );
  const results: Grown[] = [];
  for (const [i, blobs] of sizes.entries()) results.push(await atSize({ ...bench, archives }, blobs, i));
  const [few] = results;
  const many = results.at(-1);
  if (few === undefined || many === undefined || many === few)
    return { title: TITLE, rows: results.flatMap(rowsOf) };
  const by = (what: string, value: (of: Grown) => number): Row =>
    valueRow(`${what}, at ${many.blobs} by at ${few.blobs} blobs`, value(many) / value(few), "x", {
      reach: { atMost: 1.2 },
    });
  return {
    title: TITLE,
    rows: [
      ...results.flatMap(rowsOf),
      by("time of a warm publish", ({ wallMs }) => median(wallMs)),
      by("CPU of a warm publish", ({ cpuMs }) => cpuMs),
    ],
    notes: [`Blobs of ${BLOB_BYTES} bytes beside the corpus; a store and a farm for each size.`],
  };
}

const TITLE = "Growth of the store";

interface Grown {
  readonly blobs: number;
  readonly wallMs: readonly number[];
  readonly cpuMs: number;
  readonly fillUs: number;
  readonly startMs: number;
  readonly diskBytes: number;
}

async function atSize(
  { folder, corpus, archives }: Bench & { archives: readonly Buffer[] },
  blobs: number,
  i: number,
): Promise<Grown> {
  const own = join(folder, String(i));
  const store = join(own, "data", "store");
  mkdirSync(store, { recursive: true });
  const fillMs = await timed(() => fill(store, blobs));
  settle(folder);
  const startedMs = performance.now();
  return withBenchFarm(own, [], async (farm) => {
    const startMs = performance.now() - startedMs;
    const { blobs: indexed, disk_bytes: diskBytes } = await storeStat(farm);
    if (indexed < blobs) throw new Error(`the farm's store has ${indexed} blobs instead of ${blobs}`);
    await publishReady(farm, "app", readFileSync(corpus.archive), { waitSeconds: 120 });
    const publish = (number: number) =>
      publishReady(farm, "app", archives[number] ?? Buffer.alloc(0), {
        waitSeconds: 120,
      });
    for (let number = 0; number < WARM_UP; number++) await publish(number);
    settle(folder);
    const before = farmUsage(farm);
    const wallMs: number[] = [];
    for (let number = WARM_UP; number < WARM_UP + PUBLISHES; number++)
      wallMs.push(await timed(() => publish(number)));
    const cpuMs = usageSince(farm, before).cpuMs / PUBLISHES;
    return { blobs, wallMs, cpuMs, fillUs: (1000 * fillMs) / blobs, startMs, diskBytes };
  });
}

async function fill(dir: string, blobs: number): Promise<void> {
  const fixture = await openStoreFixture(dir);
  try {
    for (let put = 0; put < blobs; put += BATCH) {
      const count = Math.min(BATCH, blobs - put);
      const content = randomBytes(count * BLOB_BYTES);
      const writer = fixture.task();
      for (let at = 0; at < count; at++)
        writer.putBlob(content.subarray(at * BLOB_BYTES, (at + 1) * BLOB_BYTES));
      await fixture.store.commit(writer.finish());
    }
  } finally {
    await fixture.close();
  }
}

function rowsOf({ blobs, wallMs, cpuMs, fillUs, startMs, diskBytes }: Grown): Row[] {
  return [
    roundsRow(`warm publish beside ${blobs} blobs`, wallMs, {
      note: `${(diskBytes / 1e6).toFixed(0)} MB of disk, filled at ${fillUs.toFixed(1)} us a blob`,
    }),
    valueRow(`CPU of the farm for it, beside ${blobs} blobs`, cpuMs, "ms CPU"),
    valueRow(`start of the farm, beside ${blobs} blobs`, startMs, "ms"),
  ];
}
