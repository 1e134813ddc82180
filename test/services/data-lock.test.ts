import assert from "node:assert/strict";
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { lockDataDir } from "../../services/shared/data-lock.ts";
import { processIdentity } from "../../services/shared/process-identity.ts";
import type { RaceOrder, RaceResult } from "../helpers/data-lock-racer-main.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

/** The lock changes hands some hundred times a second. */
const RACE_MS = process.env["GRANARY_KILLS"] === undefined ? 1_000 : 10_000;

test("a data folder is refused to a second taker, who learns the holder's pid, until it is released", async () => {
  const dataDir = path.join(tempFolder(), "data");
  const lock = await lockDataDir(dataDir);
  await assert.rejects(lockDataDir(dataDir), {
    code: "DATA_IN_USE",
    detail: { pid: process.pid, data: dataDir },
  });
  lock.release();
  const next = await lockDataDir(dataDir);
  lock.release();
  await assert.rejects(
    lockDataDir(dataDir),
    { code: "DATA_IN_USE" },
    "a repeated release of the old lock does nothing",
  );
  next.release();
  assert.equal(readdirSync(dataDir).length, 1, "one file stays, which says that it is free");
});

test("the lock of a process that was killed is taken over", async (t) => {
  const dataDir = tempFolder();
  const [racer] = await startRacers(t, 1);
  assert(racer);
  const [result] = await race([racer], { dataDir });
  assert.deepEqual(result, { held: 1, notAlone: 0 });
  await assert.rejects(lockDataDir(dataDir), {
    code: "DATA_IN_USE",
    detail: { pid: racer.child.pid, data: dataDir },
  });
  racer.child.kill("SIGKILL");
  await racer.died;
  (await lockDataDir(dataDir)).release();
});

test("the lock of a process whose pid another one has now is taken over", async () => {
  const dataDir = tempFolder();
  writeLock(dataDir, 7, { pid: process.pid, identity: "another boot/1" });
  (await lockDataDir(dataDir)).release();
  assert.deepEqual(readdirSync(dataDir), ["farm.lock.8"]);
});

test("a lock that a power failure cut short is taken over", async () => {
  const dataDir = tempFolder();
  writeFileSync(path.join(dataDir, "farm.lock.3"), "");
  (await lockDataDir(dataDir)).release();
});

test("drafts of dead processes are removed, those of live ones stay", async () => {
  const dataDir = tempFolder();
  const deadPid = spawnSync("/bin/sh", ["-c", "true"]).pid;
  writeFileSync(path.join(dataDir, `farm.lock.draft.${deadPid}.00`), "");
  writeFileSync(path.join(dataDir, `farm.lock.draft.${process.pid}.00`), "");
  (await lockDataDir(dataDir)).release();
  assert.deepEqual(readdirSync(dataDir).sort(), ["farm.lock.1", `farm.lock.draft.${process.pid}.00`]);
});

test("releasing after the folder was removed is harmless", async () => {
  const dataDir = path.join(tempFolder(), "data");
  const lock = await lockDataDir(dataDir);
  rmSync(dataDir, { recursive: true });
  lock.release();
});

test("of 20 processes that race for a stale lock exactly one wins, every time", async (t) => {
  const folder = tempFolder();
  const racers = await startRacers(t, 20);
  for (let round = 0; round < 25; round++) {
    const dataDir = path.join(folder, String(round));
    (await lockDataDir(dataDir)).release();
    writeLock(dataDir, 2, { pid: 1, identity: "a process of an earlier boot" });
    const results = await race(racers, { dataDir });
    const winners = racers.filter((_, index) => results[index]?.held === 1);
    assert.equal(winners.length, 1, `round ${round}: ${JSON.stringify(results)}`);
    for (const { held, holderPid } of results) if (held === 0) assert.equal(holderPid, winners[0]?.child.pid);
  }
});

test("taking, releasing and dying in a race never leaves two holders", async (t) => {
  const dataDir = tempFolder();
  const racers = await startRacers(t, 8);
  const results = await race(racers, { dataDir, untilMs: Date.now() + RACE_MS });
  const held = results.reduce((sum, result) => sum + result.held, 0);
  t.diagnostic(`the lock was held ${held} times`);
  assert.ok(held > 15, `the lock was held ${held} times only`);
  assert.equal(
    results.reduce((sum, result) => sum + result.notAlone, 0),
    0,
  );
});

function writeLock(dataDir: string, n: number, holder: { pid: number; identity: string }): void {
  assert.notEqual(processIdentity(holder.pid), holder.identity);
  writeFileSync(path.join(dataDir, `farm.lock.${n}`), JSON.stringify({ ...holder, free: false }));
}

const RACER = fileURLToPath(new URL("../helpers/data-lock-racer-main.js", import.meta.url));

interface Racer {
  readonly child: ChildProcess;
  readonly died: Promise<unknown>;
}

async function startRacers(t: TestContext, count: number): Promise<Racer[]> {
  const racers = Array.from({ length: count }, () => {
    const child = fork(RACER);
    return { child, died: once(child, "exit") };
  });
  t.after(() => {
    for (const { child } of racers) child.kill("SIGKILL");
  });
  await Promise.all(racers.map(({ child }) => once(child, "message")));
  return racers;
}

/** A racer that dies in the race counts as one that held the lock and says nothing more. */
async function race(
  racers: readonly Racer[],
  order: Omit<RaceOrder, "beginAtMs">,
): Promise<readonly RaceResult[]> {
  const beginAtMs = Date.now() + 40;
  const results = racers.map(({ child, died }) => {
    const answer = once(child, "message").then(([message]): RaceResult => message);
    child.send({ ...order, beginAtMs } satisfies RaceOrder);
    return Promise.race([answer, died.then((): RaceResult => ({ held: 1, notAlone: 0 }))]);
  });
  return Promise.all(results);
}
