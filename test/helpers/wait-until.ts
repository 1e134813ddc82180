import { setTimeout as sleep } from "node:timers/promises";

/** A question to a farm costs it and the test some milliseconds of CPU. */
const POLL_MAX_MS = 50;

/**
 * Waits until a condition holds; asks less often the longer it takes.
 * @param what names it in the failure
 * @returns after how many milliseconds it held
 */
export async function waitUntil(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const startMs = Date.now();
  while (!(await condition())) {
    if (Date.now() - startMs > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await sleep(Math.min(POLL_MAX_MS, 10 + (Date.now() - startMs) / 10));
  }
  return Date.now() - startMs;
}
