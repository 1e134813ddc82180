import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as immediate } from "node:timers/promises";
import { inTurns, nextTurn } from "../../store/turns.ts";

test("many that go on at once get a turn of the event loop each, in the order of asking", async () => {
  let turn = 0;
  let over = false;
  const counting = (async () => {
    while (!over) {
      await immediate();
      turn += 1;
    }
  })();
  const turns: number[] = [];
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      await nextTurn();
      turns.push(turn);
    }),
  );
  over = true;
  await counting;
  assert.equal(new Set(turns).size, 10, `turns ${turns}`);
  assert.deepEqual(
    turns,
    turns.toSorted((a, b) => a - b),
  );
});

test("long work by several gives the event loop back between its slices, and leaves nothing out", async () => {
  let slices = 0;
  let slice = 0;
  const seen: number[][] = [[], [], []];
  const each = (own: number[]) => (item: number) => {
    own.push(item);
    const end = performance.now() + 0.1;
    while (performance.now() < end);
    // Between two turns nobody but one of them works: 4 ms, 64 items a look.
    slice += 1;
  };
  let over = false;
  let longest = 0;
  const watch = (async () => {
    while (!over) {
      await immediate();
      longest = Math.max(longest, slice);
      if (slice > 0) slices += 1;
      slice = 0;
    }
  })();
  const items = Array.from({ length: 1_000 }, (_, i) => i);
  await Promise.all(seen.map((own) => inTurns(items, each(own))));
  over = true;
  await watch;
  for (const own of seen) assert.deepEqual(own, items);
  assert.ok(longest <= 64, `${longest} items of 0.1 ms in one turn`);
  assert.ok(slices >= 3_000 / 64, `${slices} slices`);
});
