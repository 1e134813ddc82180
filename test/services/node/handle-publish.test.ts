import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandResult } from "../../../proto/commands.ts";
import { digestOf } from "../../../proto/digest.ts";
import type { Outcome } from "../../../proto/errors.ts";
import { ARCHIVE_LIMITS, LIMITS } from "../../../proto/limits.ts";
import type { SealLogTask } from "../../../proto/worker-tasks.ts";
import { PublishHandler } from "../../../services/node/handle-publish.ts";
import type { JobDelivery } from "../../../services/shared/bus.ts";
import type { Log } from "../../../services/shared/log.ts";
import { PublishLogs } from "../../../services/shared/publish-logs.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import type { Store } from "../../../store/store.ts";
import type { WorkerPool } from "../../../workers/pool.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { AT, acceptOf, artifactOf, Machine, STATS } from "../pointer/machine.ts";

/** What a publish is kept at; everything else goes through at once. */
type Step = "thread" | "commit" | "seal" | "ready" | "none";

/** A handler whose pool, store and log of commands are the test's: each can keep a publish for as long as it likes. */
function handler(options: { keptAt: Step; fails?: boolean; full?: boolean }) {
  const machine = new Machine();
  machine.ok(acceptOf("app", { publish_id: "pub_1" }));
  const publishLogs = new PublishLogs();
  const done: string[] = [];
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reached: (step: Step) => void = () => undefined;
  const at = new Promise<Step>((resolve) => {
    reached = resolve;
  });
  const step = async (name: Step): Promise<void> => {
    if (name !== options.keptAt) return;
    reached(name);
    await released;
  };
  const runTask = async (name: string, input: unknown): Promise<Outcome<unknown>> => {
    const log = { digest: digestOf(name), size: 1 };
    if (name === "sealLog") {
      await step("seal");
      const { lines } = input as SealLogTask;
      done.push(`sealed ${lines.map(({ text }) => text).join(", ")}`);
      return { ok: true, value: { log, commit: {} } };
    }
    publishLogs.add("pub_1", { attempt: 1, n: 2, at: "", level: "info", text: "half of it is read" });
    await step("thread");
    if (options.full) return { ok: false, error: { code: "STORE_FULL", message: "", detail: {} } };
    if (options.fails) return { ok: false, error: { code: "ARCHIVE_EMPTY", message: "", detail: {} } };
    return { ok: true, value: { artifact: artifactOf("app"), stats: STATS, log, commit: {} } };
  };
  const publishes = new PublishHandler({
    node: "n1",
    store: {
      commit: () => step("commit"),
      uploadPath: (id: string) => id,
      removeUploads: async (ids: readonly string[]) => void done.push(...ids.map((id) => `removed ${id}`)),
    } as unknown as Store,
    pool: { run: runTask } as unknown as WorkerPool,
    read: (body) => body(machine.state),
    limits: ARCHIVE_LIMITS,
    log: { warn: () => undefined, error: () => undefined } as unknown as Log,
    publishLogs,
    submit: async (command): Promise<CommandResult> => {
      if (command.body.type === "ready") await step("ready");
      return machine.applyCommand({ ...command, id: `cmd_${machine.log.length + 1}` });
    },
  });
  const delivery: JobDelivery = {
    job: { publish_id: "pub_1", ...AT },
    deliveries: 1,
    ack: async () => void done.push("acknowledged"),
    nak: () => void done.push("handed back"),
    working: () => undefined,
  } as unknown as JobDelivery;
  return { machine, publishes, publishLogs, delivery, done, at, release };
}

for (const [keptAt, fails] of [
  ["thread", false],
  ["commit", false],
  ["ready", false],
  ["seal", true],
] as const) {
  test(`a publish that is cancelled while it is kept at "${keptAt}" gives its slot back at once, and is tidied up later`, async () => {
    const world = handler({ keptAt, fails });
    const { machine, publishes, done } = world;
    const handled = publishes.handle(world.delivery);
    assert.equal(await world.at, keptAt);
    machine.ok({ type: "cancel", publish_id: "pub_1" });
    publishes.changed("pub_1");
    await handled;
    assert.deepEqual(
      done,
      ["acknowledged"],
      "nothing that goes on is waited for, nor is its upload taken away",
    );
    world.release();
    await publishes.tidied();
    assert.equal(machine.publishRecord("pub_1").state, "cancelled");
    assert.equal(done.at(-1), "removed pub_1");
    assert.ok(
      done.some((what) => /^sealed attempt 1 on node n1, half of it is read/.test(what)),
      done.join("; "),
    );
    const kept = machine.state.get(KEYS.publishLog("pub_1"));
    assert.equal(kept?.digest, digestOf("sealLog"), "what it had written until then is kept");
    assert.deepEqual(world.publishLogs.lines("pub_1"), [], "where it is kept it is read");
  });
}

test("a publish that is cancelled before it began gives back its upload, whether its job ever comes or not", async () => {
  const { machine, publishes, done, delivery } = handler({ keptAt: "none" });
  machine.ok({ type: "cancel", publish_id: "pub_1" });
  publishes.changed("pub_1");
  await publishes.tidied();
  assert.deepEqual(done, ["removed pub_1"]);
  await publishes.handle(delivery);
  await publishes.tidied();
  assert.deepEqual(done, ["removed pub_1", "acknowledged", "removed pub_1"]);
});

test("a publish that is cancelled while it waits for room on the disk gives back its upload, though its job may not come again", async () => {
  const { machine, publishes, done, delivery } = handler({ keptAt: "none", full: true });
  await publishes.handle(delivery);
  assert.deepEqual(done, ["handed back"]);
  machine.ok({ type: "cancel", publish_id: "pub_1" });
  publishes.changed("pub_1");
  await publishes.tidied();
  assert.equal(done.at(-1), "removed pub_1");
});

test("a publish that is stopped by a shutdown is handed back, with its upload", async () => {
  const world = handler({ keptAt: "commit" });
  const handled = world.publishes.handle(world.delivery);
  await world.at;
  world.publishes.stopAll();
  await handled;
  world.release();
  await world.publishes.tidied();
  assert.deepEqual(world.done, ["handed back"]);
  assert.equal(world.machine.publishRecord("pub_1").state, "ingesting");
});

test("deliveries that came while the publish ran, and were handed back, are no sign that its job kills what runs it", async () => {
  const world = handler({ keptAt: "commit" });
  const handled = world.publishes.handle(world.delivery);
  await world.at;
  const others = Array.from({ length: LIMITS.jobDeliveries }, (_, i) => i + 2);
  for (const deliveries of others) await world.publishes.handle({ ...world.delivery, deliveries });
  world.publishes.stopAll();
  await handled;
  world.release();
  await world.publishes.tidied();
  await world.publishes.handle({ ...world.delivery, deliveries: others.length + 2 });
  assert.equal(world.machine.publishRecord("pub_1").state, "ready");
});

test("a log of an attempt that another node has taken over is dropped: that of the last one counts", async () => {
  const world = handler({ keptAt: "thread" });
  const handled = world.publishes.handle(world.delivery);
  await world.at;
  world.machine.ok({ type: "start", publish_id: "pub_1", attempt: 2, node: "n2" });
  world.machine.ok({ type: "cancel", publish_id: "pub_1" });
  world.publishes.changed("pub_1");
  await handled;
  world.release();
  await world.publishes.tidied();
  await waitUntil("dropped", 1_000, () => world.publishLogs.lines("pub_1").length === 0);
  assert.equal(world.machine.state.get(KEYS.publishLog("pub_1")), undefined);
});

test("a publish that ends by itself has one log, and its upload goes", async () => {
  const world = handler({ keptAt: "none" });
  await world.publishes.handle(world.delivery);
  await world.publishes.tidied();
  assert.equal(world.machine.publishRecord("pub_1").state, "ready");
  assert.deepEqual(world.done, ["acknowledged", "removed pub_1"]);
  assert.deepEqual(world.publishLogs.lines("pub_1"), []);
});
