import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Name } from "../../../proto/names.ts";
import { type Backlog, JobLoop } from "../../../services/node/job-loop.ts";
import type { JobDelivery } from "../../../services/shared/bus.ts";
import { createLog } from "../../../services/shared/log.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

const LIMIT_MS = 20_000;

/** A queue in memory: what each org has waiting, and what was handed out in which order. */
class FakeQueue {
  readonly waiting = new Map<string, number>();
  readonly handedOut: string[] = [];
  readonly ends = new Map<string, () => void>();
  readonly unended = new Map<string, number>();
  pulls = 0;
  mostPulls = 0;
  mostRunning = 0;
  pullsInVain = 0;
  slots = 2;

  add(org: string, jobs: number): void {
    this.waiting.set(org, (this.waiting.get(org) ?? 0) + jobs);
    this.unended.set(org, (this.unended.get(org) ?? 0) + jobs);
  }

  end(id: string): void {
    const org = id.split(" ")[0] ?? "";
    this.unended.set(org, (this.unended.get(org) ?? 0) - 1);
    this.ends.get(id)?.();
    this.ends.delete(id);
  }

  loop(): JobLoop {
    return new JobLoop({
      slots: () => this.slots,
      backlog: () =>
        [...this.unended]
          .sort()
          .flatMap(([org, publishes]): Backlog[] => (publishes > 0 ? [{ org: org as Name, publishes }] : [])),
      pull: async (_lane, org) => {
        this.pulls += 1;
        this.mostPulls = Math.max(this.mostPulls, this.pulls);
        const left = this.waiting.get(org) ?? 0;
        await sleep(left > 0 ? 1 : 20);
        this.pulls -= 1;
        if (left === 0) {
          this.pullsInVain += 1;
          return undefined;
        }
        this.waiting.set(org, left - 1);
        return { job: { org } } as JobDelivery;
      },
      handle: ({ job }) =>
        new Promise((resolve) => {
          const id = `${job.org} ${this.handedOut.length}`;
          this.handedOut.push(id);
          this.ends.set(id, resolve);
          this.mostRunning = Math.max(this.mostRunning, this.ends.size);
        }),
      log: createLog({ level: "fatal", name: "test" }),
    });
  }

  /** Ends all jobs as they come. */
  async endAll(total: number): Promise<void> {
    await waitUntil(`${total} jobs ended`, LIMIT_MS, () => {
      for (const id of [...this.ends.keys()]) this.end(id);
      return this.handedOut.length === total && this.ends.size === 0;
    });
  }
}

test("every org gets its turn while others have more than the slots hold", async () => {
  const queue = new FakeQueue();
  const orgs = ["a", "b", "c", "d", "e"];
  for (const org of orgs) queue.add(org, 10);
  const loop = queue.loop();
  loop.start();
  // One job ends at a time: the freed slot has to go to the next org, not to the first again.
  for (let ended = 0; ended < 20; ended++) {
    await waitUntil("a job runs", LIMIT_MS, () => queue.ends.size === queue.slots);
    queue.end([...queue.ends.keys()][0] ?? "");
  }
  const shares = orgs.map((org) => queue.handedOut.filter((id) => id.startsWith(org)).length);
  assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `jobs handed out: ${shares}`);
  assert.equal(queue.mostRunning, 2);
  await queue.endAll(50);
  await loop.drain();
});

test("many orgs without a job to be had do not hold up the one that has, and are asked a few at once", async () => {
  const queue = new FakeQueue();
  queue.slots = 40;
  for (let i = 0; i < 200; i++) queue.unended.set(`empty-${i}`, 1);
  queue.add("zz-last", 5);
  const loop = queue.loop();
  loop.start();
  const cpuFreeMs = await waitUntil("its first job runs", LIMIT_MS, () => queue.handedOut.length > 0);
  assert.ok(cpuFreeMs < 200 * 20, `${cpuFreeMs} ms: one after another would be 4,000`);
  assert.ok(queue.mostPulls > 1 && queue.mostPulls <= 16, `${queue.mostPulls} pulls at once`);
  queue.unended.clear();
  queue.unended.set("zz-last", 5);
  await queue.endAll(5);
  await loop.drain();
});

test("an org is not asked for more than it has waiting", async () => {
  const queue = new FakeQueue();
  queue.slots = 8;
  queue.add("a", 3);
  const loop = queue.loop();
  loop.start();
  await waitUntil("all run", LIMIT_MS, () => queue.ends.size === 3);
  for (let i = 0; i < 20; i++) loop.ring();
  await sleep(100);
  assert.equal(queue.pullsInVain, 0);
  await queue.endAll(3);
  await loop.drain();
});

test("a node without slots takes nothing, and takes it up when it has some", async () => {
  const queue = new FakeQueue();
  queue.slots = 0;
  queue.add("a", 2);
  const loop = queue.loop();
  loop.start();
  await sleep(50);
  assert.equal(queue.handedOut.length, 0);
  queue.slots = 1;
  loop.ring();
  await queue.endAll(2);
  await loop.drain();
});
