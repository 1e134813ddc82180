import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { EVENT_TYPES } from "../../../proto/events.ts";
import { SCRIPT } from "../../../services/api/console/script.ts";

/** The script in a page of its own, whose time only goes on when it is told to. */
function startPage() {
  let nowMs = 0;
  let nextId = 1;
  const timers = new Map<number, { atMs: number; run: () => void }>();
  const listeners: (() => void)[] = [];
  const looks: number[] = [];
  const setTimer = (run: () => void, ms: number): number => {
    timers.set(nextId, { atMs: nowMs + ms, run });
    return nextId++;
  };
  const document = {
    hidden: false,
    getElementById: () => ({ dataset: { feed: "/console/events" }, textContent: "" }),
    addEventListener: () => undefined,
  };
  class EventSource {
    addEventListener(_type: string, listener: () => void): void {
      listeners.push(listener);
    }
    close(): void {}
  }
  const fetch = async (): Promise<object> => {
    looks.push(nowMs);
    return { status: 503, ok: false };
  };
  const context = {
    ...{ document, EventSource, fetch, location: { href: "/" }, performance: { now: () => nowMs } },
    ...{ setTimeout: setTimer, setInterval: () => 0, addEventListener: () => undefined },
  };
  runInContext(SCRIPT, createContext(context));
  return {
    looks,
    document,
    /** An event of any type comes. */
    event: (): void => listeners[0]?.(),
    listeners,
    async pass(ms: number): Promise<void> {
      const endMs = nowMs + ms;
      for (;;) {
        const due = [...timers]
          .filter(([, { atMs }]) => atMs <= endMs)
          .sort((a, b) => a[1].atMs - b[1].atMs)[0];
        if (due === undefined) break;
        timers.delete(due[0]);
        nowMs = Math.max(nowMs, due[1].atMs);
        due[1].run();
        await new Promise(setImmediate);
      }
      nowMs = endMs;
    },
  };
}

test("a page looks again at once when something happens, and once a second while 800 events come in ten", async () => {
  const page = startPage();
  assert.equal(page.listeners.length, Object.keys(EVENT_TYPES).length);
  await page.pass(5_000);
  assert.deepEqual(page.looks, []);
  for (let i = 0; i < 800; i++) {
    page.event();
    await page.pass(12.5);
  }
  assert.ok((page.looks[0] ?? Infinity) <= 5_100, `first look at ${page.looks[0]}`);
  assert.ok(page.looks.length >= 9 && page.looks.length <= 11, `${page.looks.length} looks`);
  const last = page.looks.length;
  await page.pass(10_000);
  assert.ok(page.looks.length - last <= 1, "the last events are shown, and then it is quiet");
  assert.ok((page.looks.at(-1) ?? 0) >= 14_000);
});

test("a page that nobody looks at asks for nothing", async () => {
  const page = startPage();
  page.document.hidden = true;
  for (let i = 0; i < 10; i++) page.event();
  await page.pass(10_000);
  assert.deepEqual(page.looks, []);
});
