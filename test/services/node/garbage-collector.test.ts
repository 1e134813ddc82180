import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../../proto/digest.ts";
import { GranaryError } from "../../../proto/errors.ts";
import type { Name } from "../../../proto/names.ts";
import type { GcSettings } from "../../../proto/settings.ts";
import { GarbageCollector } from "../../../services/node/garbage-collector.ts";
import type { Log } from "../../../services/shared/log.ts";
import type { GcOptions, GcResult } from "../../../store/collect-garbage.ts";
import type { GcRoot } from "../../../store/gc-root.ts";
import type { StoreStats } from "../../../store/store-stats.ts";
import { artifactOf, Machine } from "../pointer/machine.ts";

const HOUR_MS = 3_600_000;
const DONE: GcResult = {
  dryRun: false,
  kept: { blobs: 3, bytes: 30 },
  condemned: { blobs: 0, bytes: 0 },
  revived: { blobs: 0, bytes: 0 },
  waiting: { blobs: 1, bytes: 10 },
  deleted: { blobs: 2, bytes: 20 },
  reclaimableBytes: 10,
  reclaimedBytes: 20,
  damaged: [],
  heldBack: { blobs: 0, bytes: 0 },
  segments: { dropped: 1, rewritten: 1 },
  durationMs: 1,
};

/** A collector of a store that only writes down what it is asked for. */
function collector(options: { settings?: Partial<GcSettings>; confirm?: () => Promise<void> } = {}) {
  const machine = new Machine();
  const runs: { graceMs: number; compactFully: boolean | undefined; roots: GcRoot[] }[] = [];
  const warnings: string[] = [];
  const world = { nowMs: 0, diskBytes: 100, leases: [] as { id: string; untilMs: number }[] };
  const log = { info: () => undefined, warn: (_: unknown, text: string) => warnings.push(text) };
  const garbage = new GarbageCollector({
    store: {
      listingOfLayer: () => undefined,
      leases: () => world.leases,
      stats: () => ({ diskBytes: world.diskBytes }) as StoreStats,
      collectGarbage: async ({ graceMs, compactFully, roots }: GcOptions) => {
        const told = new Map<string, GcRoot>();
        // Releases share layers; the store takes each root once.
        for await (const root of await roots()) told.set(`${root.kind} ${root.digest}`, root);
        runs.push({ graceMs, compactFully, roots: [...told.values()] });
        return DONE;
      },
    },
    settings: { intervalMs: HOUR_MS, graceMs: 24 * HOUR_MS, budgetBytes: undefined, ...options.settings },
    log: log as unknown as Log,
    read: (body) => body(machine.state),
    confirm: options.confirm ?? (async () => undefined),
    now: () => world.nowMs,
  });
  return { garbage, machine, runs, warnings, world };
}

const NOW = { dryRun: false, graceMs: 0 };

test("what kept releases and living previews are made of stays; what has ended does not", async () => {
  const { garbage, machine, runs } = collector();
  machine.publish("old");
  machine.publish("kept");
  machine.publish("kept", { commit: "1".repeat(40) });
  const failed = machine.begin("failed");
  const log = { digest: digestOf("log"), size: 10 };
  machine.ok({
    type: "fail",
    publish_id: failed,
    attempt: 1,
    node: "n1",
    error: { code: "ARCHIVE_EMPTY", message: "", detail: {} },
    log,
  });
  const preview = { activate: false, channel: "preview/pr-1" } as const;
  machine.publish("shown", preview);
  machine.publish("gone", { ...preview, channel: "preview/pr-2" });
  machine.ok({ type: "retire", version: "v1" });
  machine.ok({ type: "preview.remove", name: "pr-2" as Name });
  await garbage.collect(NOW);
  const expected = ["shown", "kept"].flatMap((content) => {
    const { manifest, config, layers, tree } = artifactOf(content);
    return [
      { digest: manifest.digest, kind: "blob" },
      { digest: config.digest, kind: "blob" },
      ...layers.map(({ digest }) => ({ digest, kind: "layer" })),
      { digest: tree, kind: "tree" },
    ];
  });
  assert.deepEqual(runs[0]?.roots, [...expected, { digest: log.digest, kind: "blob" }]);
});

test("roots are whole when there are more releases than are read in one go, and a preview is promoted meanwhile", async () => {
  const { garbage, machine, runs } = collector();
  for (let i = 0; i < 1_100; i++) machine.publish(`content ${i}`);
  machine.publish("moving", { activate: false, channel: "preview/pr-1" });
  setImmediate(() => {
    machine.ok({ type: "preview.promote", name: "pr-1" as Name, activate: true });
    machine.ok({ type: "preview.remove", name: "pr-1" as Name });
  });
  await garbage.collect(NOW);
  const digests = new Set(runs[0]?.roots.map(({ digest }) => digest));
  assert.ok(digests.has(artifactOf("moving").tree), "it was a preview, and is a release");
  assert.equal(digests.size, 1_101 * 4);
});

test("without a state that is confirmed to be current nothing is collected", async () => {
  const { garbage, runs } = collector({
    confirm: () => Promise.reject(new GranaryError("UNAVAILABLE", "the command log does not answer")),
  });
  await assert.rejects(garbage.collect(NOW), { code: "UNAVAILABLE" });
  assert.equal(runs.length, 0);
  assert.deepEqual([garbage.last?.cause, garbage.last?.error], ["request", "UNAVAILABLE"]);
});

test("beside a backup nothing is collected", async () => {
  const { garbage, world, runs } = collector();
  world.leases = [{ id: "backup", untilMs: 1 }];
  await assert.rejects(garbage.collect(NOW), { code: "STATE_CONFLICT" });
  world.nowMs = 1;
  await garbage.collect(NOW);
  assert.equal(runs.length, 1);
});

test("garbage is collected by age, with the undo period, and not while it is off", async () => {
  const { garbage, world, runs } = collector();
  await garbage.tick();
  assert.equal(runs.length, 0, "a farm that has just started has other things to do");
  world.nowMs = 15 * 60_000;
  await garbage.tick();
  await garbage.tick();
  assert.deepEqual(
    runs.map(({ graceMs, compactFully }) => [graceMs, compactFully]),
    [[24 * HOUR_MS, false]],
  );
  world.nowMs += HOUR_MS;
  await garbage.tick();
  assert.equal(runs.length, 2);
  assert.deepEqual(garbage.last, {
    at: new Date(world.nowMs).toISOString(),
    cause: "age",
    reclaimed_bytes: 20,
    blobs: 2,
    segments: 2,
    waiting_blobs: 1,
    waiting_bytes: 10,
    dead_bytes: 0,
    duration_ms: 1,
  });
  const off = collector({ settings: { intervalMs: undefined } });
  off.world.nowMs = 1_000 * HOUR_MS;
  await off.garbage.tick();
  assert.equal(off.runs.length, 0);
});

test("a store beyond its budget is collected at once; one that stays beyond it is told of, and left alone for a while", async () => {
  const { garbage, world, runs, warnings } = collector({ settings: { budgetBytes: 99 } });
  await garbage.tick();
  await garbage.tick();
  assert.deepEqual(
    runs.map(({ graceMs, compactFully }) => [graceMs, compactFully]),
    [[0, true]],
  );
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /retire releases or raise store_budget_bytes/);
  world.nowMs += 10 * 60_000;
  await garbage.tick();
  assert.equal(runs.length, 2);
  world.diskBytes = 99;
  world.nowMs += 11 * 60_000;
  await garbage.tick();
  assert.equal(runs.length, 2, "it is within its budget");
});

test("a failed run by itself is shown and tried again when it is due", async () => {
  let failing = true;
  const { garbage, world, runs, warnings } = collector({
    confirm: async () => {
      if (failing) throw new GranaryError("UNAVAILABLE", "away");
    },
  });
  world.nowMs = HOUR_MS;
  await garbage.tick();
  assert.deepEqual([garbage.last?.error, warnings.length, runs.length], ["UNAVAILABLE", 1, 0]);
  failing = false;
  world.nowMs += HOUR_MS;
  await garbage.tick();
  assert.deepEqual([garbage.last?.error, runs.length], [undefined, 1]);
});
