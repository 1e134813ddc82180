import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { say } from "./say.mjs";

/**
 * Runs one set-up of a checkout at a time: two `npm ci` in one folder break each other. A lock of a process that is
 * gone is taken over.
 * @template T
 * @param {string} root the checkout
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withCheckoutLock(root, work) {
  const file = path.join(root, "dist", ".setup-lock");
  fs.mkdirSync(path.dirname(file), { recursive: true });
  for (let waits = 0; !tryLock(file); waits++) {
    if (waits === 10) say("waiting for another set-up of this checkout");
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    fs.rmSync(file, { force: true });
  }
}

function tryLock(file) {
  try {
    fs.writeFileSync(file, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  if (isStale(file)) fs.rmSync(file, { force: true });
  return false;
}

function isStale(file) {
  try {
    const text = fs.readFileSync(file, "utf8");
    // Created, and not written to yet, unless it has been so for long.
    if (text === "") return Date.now() - fs.statSync(file).mtimeMs > 5_000;
    process.kill(Number(text), 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}
