/**
 * A process that takes data locks on order. Each message names folders and a time to begin, which all racers await
 * together; the answer tells how often it held the lock and whether it ever was not alone.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import { type DataLock, lockDataDir } from "../../services/shared/data-lock.ts";
import { processIdentity } from "../../services/shared/process-identity.ts";

/** What a racer is told. */
export interface RaceOrder {
  readonly dataDir: string;
  readonly beginAtMs: number;
  /** One try that keeps the lock, or taking and releasing it until then. */
  readonly untilMs?: number;
}

/** Spinning all the time before the start would cost a core as long. */
const SPIN_MS = 5;

/** What a racer answers. */
export interface RaceResult {
  readonly held: number;
  readonly notAlone: number;
  /** The pid that a refusal named. */
  readonly holderPid?: number;
}

let kept: DataLock | undefined;

process.on("message", async (order: RaceOrder) => {
  kept?.release();
  kept = undefined;
  await sleep(order.beginAtMs - Date.now() - SPIN_MS);
  while (Date.now() < order.beginAtMs) {
    // All begin in the same millisecond.
  }
  process.send?.(
    order.untilMs === undefined ? await once(order.dataDir) : await repeat(order.dataDir, order.untilMs),
  );
});
process.send?.("ready");

async function once(dataDir: string): Promise<RaceResult> {
  const taken = await take(dataDir);
  if (typeof taken === "number") return { held: 0, notAlone: 0, holderPid: taken };
  kept = taken;
  return { held: 1, notAlone: 0 };
}

async function repeat(dataDir: string, untilMs: number): Promise<RaceResult> {
  let held = 0;
  let notAlone = 0;
  while (Date.now() < untilMs) {
    const lock = await take(dataDir);
    if (typeof lock === "number") continue;
    held++;
    if (!isAlone(dataDir)) notAlone++;
    rmSync(path.join(dataDir, "holder"), { force: true });
    if (Math.random() < KILL_RATE) process.kill(process.pid, "SIGKILL");
    lock.release();
  }
  return { held, notAlone };
}

/** Few enough that most racers last until the end. */
const KILL_RATE = 0.001;

async function take(dataDir: string): Promise<DataLock | number> {
  try {
    return await lockDataDir(dataDir);
  } catch (error) {
    if (error instanceof GranaryError && error.code === "DATA_IN_USE") return Number(error.detail["pid"]);
    throw error;
  }
}

function isAlone(dataDir: string): boolean {
  const file = path.join(dataDir, "holder");
  try {
    writeFileSync(file, String(process.pid), { flag: "wx" });
    return true;
  } catch {
    // Left by a racer that died while it held the lock.
    return processIdentity(Number(readFileSync(file, "utf8"))) === undefined;
  }
}
