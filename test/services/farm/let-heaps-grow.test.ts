import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { letHeapsGrow } from "../../../services/farm/let-heaps-grow.ts";

test("threads that remember much are marked less often once heaps may grow, also those with a limit of their own", async () => {
  const before = await fullCollections();
  letHeapsGrow();
  const after = await fullCollections();
  assert.ok(before >= 4, `${before} full collections before`);
  // 1 instead of 18 on Node 20, 2 of 14 on 22, 11 of 15 on 24, whose V8 decides more by itself.
  assert.ok(after < before, `${before} full collections before, ${after} after`);
});

/** How often V8 marks the heap of a thread that keeps 20 MB and lets go of 1 GB of buffers. */
async function fullCollections(): Promise<number> {
  const worker = new Worker(CHURN, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 512 } });
  return new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
}

const CHURN = `
  const { PerformanceObserver, constants } = require("node:perf_hooks");
  let full = 0;
  const count = (list) => {
    for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full += 1;
  };
  const observer = new PerformanceObserver(count);
  observer.observe({ entryTypes: ["gc"] });
  const kept = Array.from({ length: 200_000 }, (_, i) => ({ i, text: "entry " + i }));
  let left = 500;
  const step = () => {
    for (let i = 0; i < 5; i++) Buffer.alloc(400_000, i);
    if (--left > 0) return setImmediate(step);
    setTimeout(() => {
      require("node:worker_threads").parentPort.postMessage(full + 0 * kept.length);
    }, 20);
  };
  step();
`;
