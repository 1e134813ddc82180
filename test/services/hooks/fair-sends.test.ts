import assert from "node:assert/strict";
import { test } from "node:test";
import type { Name } from "../../../proto/names.ts";
import { FairSends } from "../../../services/hooks/fair-sends.ts";

const [A, B, C] = ["a", "b", "c"] as unknown as readonly [Name, Name, Name];

test("orgs whose endpoints hang hold up their own deliveries, and nobody waits for ever", async () => {
  const sends = new FairSends(16);
  const ends: (() => void)[] = [];
  const started: Name[] = [];
  const send = (org: Name): Promise<void> =>
    sends.run(org, () => {
      started.push(org);
      return new Promise((resolve) => ends.push(resolve));
    });
  const count = (org: Name): number => started.filter((known) => known === org).length;
  const all = [A, B].flatMap((org) => Array.from({ length: 50 }, () => send(org)));
  assert.deepEqual([count(A), count(B)], [12, 3]);
  all.push(send(C));
  assert.equal(count(C), 1, "the third org is not behind the hundred");
  while (started.length < all.length || ends.length > 0) {
    ends.shift()?.();
    await new Promise(setImmediate);
  }
  await Promise.all(all);
  assert.deepEqual([count(A), count(B), count(C)], [50, 50, 1]);
});
