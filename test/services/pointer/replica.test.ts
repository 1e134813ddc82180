import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rename } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import type { Command } from "../../../proto/commands.ts";
import { formatCursor } from "../../../proto/events.ts";
import type { Bus } from "../../../services/shared/bus.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { RANGES } from "../../../services/shared/state-keys.ts";
import { findProject } from "../../../services/shared/state-queries.ts";
import { newId, submitCommand } from "../../../services/shared/submit-command.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { AT, acceptOf, readyOf } from "./machine.ts";
import {
  cleanReplay,
  digestOnDisk,
  freshCommand,
  readLog,
  relayedCursors,
  startPointerFarm,
} from "./pointer-farm.ts";

const KILLS = Number(process.env["GRANARY_KILLS"] ?? 3);
const HOLDER = fileURLToPath(new URL("./replica-holder-main.js", import.meta.url));

/** Between two publishes of a lane: replicas are always at work, and what is checked afterwards has hundreds of commands, not thousands. */
const PAUSE_MS = 10;

/** Publishes from accept to ready, until there were enough. @returns ids of publishes that were left unfinished */
async function load(bus: Bus, options: { lanes: number; until: () => boolean }): Promise<string[]> {
  const unfinished: string[] = [];
  const lane = async (): Promise<void> => {
    while (!options.until()) {
      const publish_id = newId("pub");
      const bodies = [
        acceptOf(publish_id, { publish_id }),
        { type: "start", publish_id, attempt: 1, node: "n1" },
        readyOf(publish_id, publish_id),
      ] as const;
      const finish = Math.random() < 0.7;
      if (!finish) unfinished.push(publish_id);
      for (const body of finish ? bodies : bodies.slice(0, 1)) await bus.appendCommand(freshCommand(body));
      await sleep(PAUSE_MS);
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  return unfinished;
}

test("a replica that is killed again and again ends with the state of a clean replay; events leave once, in order", async (t) => {
  const farm = await startPointerFarm(t);
  const bus = await farm.connect("pointer");
  await bus.ensureStreams();
  let over = false;
  const loading = load(bus, { lanes: 4, until: () => over });
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spawn(process.execPath, [HOLDER, farm.dataDir, farm.server.url, farm.stateDir()], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    await sleep(50 + Math.random() * 300);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  over = true;
  const unfinished = await loading;

  const replica = await farm.replica();
  await replica.ready;
  const clean = await cleanReplay(bus);
  const events = [...clean.range(RANGES.events())].map((row) => formatCursor(row.value));
  assert.ok(events.length > 20, `${events.length} events`);
  assert.deepEqual(await relayedCursors(bus, events.length), events);
  await waitUntil("every unfinished publish has a job", 20_000, async () => {
    const [backlog] = await bus.publishJobs.backlog();
    return (backlog?.jobs ?? 0) >= unfinished.length;
  });
  await replica.close();
  assert.equal(await digestOnDisk(farm.stateDir()), stateDigest(clean.rows()));
});

test("a killed nats-server loses no acknowledged command and doubles no effect", async (t) => {
  const farm = await startPointerFarm(t);
  const warnings: string[] = [];
  const log = { info: () => undefined, warn: (_: object, message: string) => void warnings.push(message) };
  const replica = await farm.replica({ log });
  await replica.ready;
  const target = { bus: await farm.connect("api"), replica };
  const results = new Map<string, unknown>();
  let over = false;
  const lane = async (): Promise<void> => {
    while (!over) {
      const publish_id = newId("pub");
      const command = freshCommand(acceptOf(publish_id, { publish_id }));
      results.set(command.id, await untilKnown(command));
      await sleep(PAUSE_MS);
    }
  };
  const untilKnown = async (command: Command): Promise<unknown> => {
    for (;;) {
      try {
        return await submitCommand(target, command, { timeoutMs: 15_000 });
      } catch {
        await sleep(50);
      }
    }
  };
  const lanes = Array.from({ length: 6 }, lane);
  for (let kill = 0; kill < 2; kill++) {
    await sleep(400);
    const states: string[] = [];
    const forget = farm.server.onState((state) => states.push(state));
    process.kill(farm.server.pid, "SIGKILL");
    await waitUntil("the server is back", 15_000, () => states.includes("up"));
    forget();
  }
  await sleep(300);
  over = true;
  await Promise.all(lanes);
  assert.ok(warnings.includes("the command log is followed anew"), "somebody is told what went on");
  const entries = await readLog(target.bus);
  const stored = entries.map(({ command }) => command.id);
  assert.equal(new Set(stored).size, stored.length, "no command is in the log twice");
  for (const id of results.keys()) assert.ok(stored.includes(id), `${id} was acknowledged`);
  for (const [id, result] of results)
    assert.deepEqual(await submitCommand(target, must(entries, id)), result);
  await replica.close();
  assert.equal(await digestOnDisk(farm.stateDir()), stateDigest((await cleanReplay(target.bus)).rows()));
});

function must(log: Awaited<ReturnType<typeof readLog>>, id: string): Command {
  const found = log.find((entry) => entry.command.id === id);
  assert.ok(found);
  return found.command;
}

test("two relays on one log write every event once", async (t) => {
  const farm = await startPointerFarm(t);
  const replicas = [await farm.replica({ name: "a" }), await farm.replica({ name: "b" })];
  await Promise.all(replicas.map((replica) => replica.ready));
  const bus = await farm.connect("api");
  const end = Date.now() + 600;
  await load(bus, { lanes: 4, until: () => Date.now() > end });
  const clean = await cleanReplay(bus);
  const events = [...clean.range(RANGES.events())].map((row) => formatCursor(row.value));
  assert.deepEqual(await relayedCursors(bus, events.length), events);
  await sleep(300);
  assert.equal((await relayedCursors(bus, events.length)).length, events.length);
  for (const replica of replicas) await replica.close();
  const digests = [await digestOnDisk(farm.stateDir("a")), await digestOnDisk(farm.stateDir("b"))];
  assert.deepEqual(digests, [stateDigest(clean.rows()), stateDigest(clean.rows())]);
});

test("a state refuses to continue on another log", async (t) => {
  const [one, other] = [await startPointerFarm(t), await startPointerFarm(t)];
  const replica = await one.replica();
  await replica.ready;
  const target = { bus: await one.connect("api"), replica };
  await submitCommand(target, freshCommand({ type: "org.create" }));
  await replica.close();
  await rename(one.stateDir(), other.stateDir());
  const bus = await other.connect("pointer");
  await bus.ensureStreams();
  const stranger = await other.replica();
  await assert.rejects(stranger.ready, { code: "STATE_BEHIND" });
  assert.equal(stranger.health().up, false);
});

test("a command that this version does not know halts the replica, with what it had applied still readable", async (t) => {
  const farm = await startPointerFarm(t);
  const replica = await farm.replica();
  await replica.ready;
  const bus = await farm.connect("api");
  const target = { bus, replica };
  await submitCommand(target, freshCommand(acceptOf("one")));
  const body = { type: "teleport" } as unknown as Command["body"];
  const { seq } = await bus.appendCommand(freshCommand(body));
  await waitUntil("the replica halts", 30_000, () => !replica.health().up);
  assert.equal(await replica.waitForSeq(seq, 100), false);
  const health = replica.health();
  assert.match(health.up ? "" : health.reason, /teleport/);
  assert.equal(replica.read((view) => findProject(view, AT))?.event_n, 2);
});

test("a replica may start before the streams are made, and before there is a server", async (t) => {
  const farm = await startPointerFarm(t);
  const follower = await farm.replica({ name: path.join("deep", "follower"), relay: false });
  assert.equal(follower.health().up, false);
  const bus = await farm.connect("pointer");
  await bus.ensureStreams();
  await follower.ready;
  const { seq } = await bus.appendCommand(freshCommand(acceptOf("one")));
  assert.equal(await follower.waitForSeq(seq, 30_000), true);
});

test("a replica thread that dies is started again and misses nothing", async (t) => {
  const farm = await startPointerFarm(t);
  let thread: Worker | undefined;
  const onWorker = (worker: Worker) => {
    thread = worker;
  };
  process.on("worker", onWorker);
  t.after(() => process.off("worker", onWorker));
  const bus = await farm.connect("pointer");
  await bus.ensureStreams();
  const replica = await farm.replica({ relay: false });
  await replica.ready;
  for (let death = 0; death < 2; death++) {
    // Between two commands: inside a transaction LMDB's lock would stay with the dead thread (see stopThread).
    await thread?.terminate();
    assert.equal(replica.health().up, false);
    const end = Date.now() + 300;
    await load(bus, { lanes: 4, until: () => Date.now() > end });
    const { lastSeq } = await bus.logInfo();
    assert.equal(await replica.waitForSeq(lastSeq, 30_000), true);
    await waitUntil("the replica is up", 30_000, () => replica.health().up);
  }
  const clean = await cleanReplay(bus);
  await replica.close();
  assert.equal(await digestOnDisk(farm.stateDir()), stateDigest(clean.rows()));
});
