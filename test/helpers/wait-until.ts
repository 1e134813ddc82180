import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits until a condition holds.
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
    await sleep(10);
  }
  return Date.now() - startMs;
}
