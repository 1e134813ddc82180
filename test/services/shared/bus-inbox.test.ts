import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { BATCH_MAX, BusInbox } from "../../../services/shared/bus-inbox.ts";

test("what was handed over is all there is only when neither the server nor the inbox has much behind it", async () => {
  const groups: number[] = [];
  const told: boolean[] = [];
  const inbox = new BusInbox({ lastSeq: 0, pauseMs: 0, deliver: (batch) => groups.push(batch.length) });
  inbox.onDelivered = (atHead) => told.push(atHead);
  let seq = 0;
  const push = (count: number, behind: number): void => {
    for (let i = count - 1; i >= 0; i--)
      inbox.push({
        seq: ++seq,
        timestampNanos: 0n,
        data: new Uint8Array(),
        info: { pending: behind + i },
      });
  };
  push(10, 5_000);
  await turn();
  push(BATCH_MAX + 1, 0);
  await turn();
  await turn();
  push(1, 3);
  await turn();
  assert.deepEqual(groups, [10, BATCH_MAX, 1, 1]);
  assert.deepEqual(told, [false, false, true, true]);
});
