import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Scrubber } from "../../../services/node/scrubber.ts";
import type { Log } from "../../../services/shared/log.ts";
import type { ScrubOptions } from "../../../store/run-scrub.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

const HOUR_MS = 3_600_000;

/** A scrubber of a store that does what it is told to. */
function scrubber(file: string, options: { rateBytes?: number } = { rateBytes: 1_000 }) {
  const world = { nowMs: Date.parse("2026-11-21T00:00:00Z") };
  const runs: (ScrubOptions & { end: (whole: boolean) => void; fail: (error: Error) => void })[] = [];
  const logged: string[] = [];
  const log = { info: write, warn: write, error: write } as unknown as Log;
  function write(_: unknown, text: string): void {
    logged.push(text);
  }
  const scrub = new Scrubber({
    store: {
      scrub: (run: ScrubOptions) =>
        new Promise<boolean>((end, fail) => {
          run.signal.addEventListener("abort", () => end(false));
          runs.push({ ...run, end, fail });
        }),
    },
    settings: { rateBytes: options.rateBytes, intervalMs: HOUR_MS },
    file,
    log,
    now: () => world.nowMs,
  });
  return { scrub, runs, logged, world };
}

const settle = (scrub: Scrubber): Promise<unknown> =>
  waitUntil("the pass is over", 5_000, () => scrub.status.state !== "running");

test("a pass that a restart has ended goes on where it was, with what it had found", async () => {
  const file = join(tempFolder(), "scrub.json");
  const first = scrubber(file);
  first.scrub.tick();
  const [run] = first.runs;
  run?.onProgress({ cursor: "6280ab", checked: 10, bytes: 1_000 });
  run?.onFound({ kind: "corrupt", name: "sha256:1" });
  run?.onProgress({ cursor: "62c0", checked: 5, bytes: 500 });
  assert.equal(first.scrub.status.pass?.progress, 0.75);
  await first.scrub.close();

  const second = scrubber(file);
  second.scrub.tick();
  assert.equal(second.runs[0]?.from, "62c0");
  second.runs[0]?.onProgress({ cursor: "segment:3", checked: 1, bytes: 7 });
  second.runs[0]?.end(true);
  await settle(second.scrub);
  const { last, pass, state } = second.scrub.status;
  assert.deepEqual([state, pass, last?.checked, last?.bytes], ["waiting", null, 16, 1_507]);
  assert.equal(last?.found.corrupt, 1);
  assert.match(second.logged.at(-1) ?? "", /fsck --repair/);
  assert.deepEqual(scrubber(file).scrub.status.last, last, "and it is known after another restart");
});

test("a pass begins when the interval since the begin of the last one is over", async () => {
  const { scrub, runs, world } = scrubber(join(tempFolder(), "scrub.json"));
  scrub.tick();
  scrub.tick();
  runs[0]?.end(true);
  await settle(scrub);
  scrub.tick();
  world.nowMs += HOUR_MS - 1;
  scrub.tick();
  assert.equal(runs.length, 1);
  world.nowMs += 1;
  scrub.tick();
  assert.deepEqual([runs.length, runs[1]?.from], [2, undefined]);
  await scrub.close();
});

test("a failure is logged and tried again after a while; switched off nothing runs", async () => {
  const { scrub, runs, world, logged } = scrubber(join(tempFolder(), "scrub.json"));
  scrub.tick();
  runs[0]?.onProgress({ cursor: "6210", checked: 1, bytes: 1 });
  runs[0]?.fail(new Error("EIO"));
  await settle(scrub);
  scrub.tick();
  assert.equal(runs.length, 1);
  assert.equal(logged.length, 1);
  world.nowMs += HOUR_MS;
  scrub.tick();
  assert.deepEqual([runs.length, runs[1]?.from], [2, "6210"]);
  await scrub.close();

  const off = scrubber(join(tempFolder(), "scrub.json"), {});
  off.scrub.tick();
  assert.deepEqual([off.runs.length, off.scrub.status.state], [0, "off"]);
});
