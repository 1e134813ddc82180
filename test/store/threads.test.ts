import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import type { CommitBatch } from "../../proto/commit-batch.ts";
import { digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Store } from "../../store/store.ts";
import { createTaskSlots, TaskSlot, TaskSlots } from "../../store/task-slots.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, taskCell } from "../helpers/store-fixture.ts";
import type { StoreWorkerReply, StoreWorkerTask } from "../helpers/store-worker-main.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

function startWorker(store: Store): Worker {
  const entry = new URL("../helpers/store-worker-main.js", import.meta.url);
  return new Worker(entry, { workerData: store.workerData() });
}

async function ask(
  worker: Worker,
  task: Omit<StoreWorkerTask, "cell">,
  cell = taskCell(),
): Promise<CommitBatch | "stuck"> {
  worker.postMessage({ ...task, cell } satisfies StoreWorkerTask);
  const [reply] = (await once(worker, "message")) as [StoreWorkerReply];
  return "batch" in reply ? reply.batch : "stuck";
}

async function put(store: Store, worker: Worker, task: Omit<StoreWorkerTask, "cell">): Promise<void> {
  const batch = await ask(worker, task);
  assert.notEqual(batch, "stuck");
  if (batch !== "stuck") await store.commit(batch);
}

const seeds = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix} ${i}`);

describe("two threads", () => {
  it("never say for each other that a task has ended, however many threads came and went before", () => {
    const cells = createTaskSlots();
    const slots = new TaskSlots(cells);
    const first = new TaskSlot(cells);
    for (let thread = 0; thread < 2_000; thread++) {
      const slot = new TaskSlot(cells);
      slot.starting();
      if (thread % 5 === 0) slots.clear(slot.number);
      else slot.release();
    }
    const second = new TaskSlot(cells);
    first.starting();
    first.began(7);
    second.starting();
    second.ended();
    assert.equal(slots.oldestEpoch(), 7);
  });

  it("append the same content at the same time: the first commit wins, the other's bytes are dead", async () => {
    const { dir, store, close } = await openStoreFixture(tempFolder());
    const workers = [startWorker(store), startWorker(store)];
    const task = { seeds: seeds("same", 200), sizeBytes: 1000 };
    const batches = await Promise.all(workers.map((worker) => ask(worker, task)));
    await Promise.all(batches.map((batch) => (batch === "stuck" ? undefined : store.commit(batch))));
    assert.equal(store.stats().blobs, 200);
    assert.equal(store.stats().segments, 2);
    assert.equal(store.stats().deadBytes, 200 * (1000 + 64));
    for (const seed of task.seeds)
      assert.deepEqual(await store.read(digestOf(contentOf(seed, 1000))), contentOf(seed, 1000));
    assert.equal(storeFiles(dir).size, 2);
    await Promise.all(workers.map((worker) => worker.terminate()));
    await close();
  });

  it("see each other's content from their next task on", async () => {
    const { store, close } = await openStoreFixture(tempFolder());
    const [a, b] = [startWorker(store), startWorker(store)];
    await put(store, a, { seeds: ["warm up"], sizeBytes: 10 });
    await put(store, b, { seeds: ["warm up"], sizeBytes: 10 });
    for (let round = 0; round < 20; round++) {
      await put(store, round % 2 === 0 ? a : b, { seeds: [`round ${round}`], sizeBytes: 100 });
      const batch = await ask(round % 2 === 0 ? b : a, { seeds: [`round ${round}`], sizeBytes: 100 });
      assert.notEqual(batch, "stuck");
      if (batch !== "stuck") assert.equal(batch.blobs.byteLength, 0, `round ${round} was appended twice`);
    }
    await Promise.all([a.terminate(), b.terminate()]);
    await close();
  });
});

describe("one thread that has the store open twice", () => {
  it("writes big files of its own in each", async () => {
    const { store, thread, close } = await openStoreFixture(tempFolder());
    const other = openThreadStore(store.workerData());
    const big = contentOf("big", LIMITS.packedBlobBytes + 1);
    const writers = [thread, other].map((each) => each.beginTask(taskCell()));
    for (const writer of writers) writer.putBlob(big);
    for (const writer of writers) await store.commit(writer.finish());
    assert.deepEqual(await store.read(digestOf(big)), big);
    await other.close();
    await close();
  });
});

describe("a thread that dies in a task", () => {
  it("costs no content of its earlier tasks, also of those that are not committed yet", async () => {
    const { dir, store, close } = await openStoreFixture(tempFolder());
    const worker = startWorker(store);
    const survivor = startWorker(store);
    await put(store, survivor, { seeds: ["survivor"], sizeBytes: 100 });
    await put(store, worker, { seeds: seeds("committed", 50), sizeBytes: 30_000 });
    const reported = await ask(worker, { seeds: seeds("reported", 50), sizeBytes: 30_000 });
    const before = storeFiles(dir);
    const cell = taskCell();
    const dying = { seeds: [...seeds("dying", 100)], sizeBytes: 30_000, stuck: true };
    assert.equal(await ask(worker, dying, cell), "stuck");
    assert.notDeepEqual(storeFiles(dir), before);
    await worker.terminate();
    await store.reclaim(cell);
    assert.deepEqual(storeFiles(dir), before, "cut to where the task began");
    if (reported !== "stuck") await store.commit(reported);
    await put(store, survivor, { seeds: seeds("dying", 100), sizeBytes: 30_000 });
    const next = startWorker(store);
    await put(store, next, { seeds: seeds("next", 10), sizeBytes: 30_000 });
    assert.equal(store.stats().segments, 3, "nobody appends to the dead thread's segment");
    for (const seed of ["committed 49", "reported 49", "dying 99", "next 9"]) {
      const content = contentOf(seed, 30_000);
      assert.deepEqual(await store.read(digestOf(content)), content);
    }
    const { corrupt, missing, orphaned } = await store.fsck();
    assert.deepEqual([corrupt, missing, orphaned], [[], [], []]);
    await Promise.all([survivor.terminate(), next.terminate()]);
    await close();
  });

  it("leaves no staging file", async () => {
    const { dir, store, close } = await openStoreFixture(tempFolder());
    const worker = startWorker(store);
    const other = startWorker(store);
    const finished = await ask(worker, { seeds: ["finished"], sizeBytes: LIMITS.packedBlobBytes + 1 });
    const beside = await ask(other, { seeds: ["beside"], sizeBytes: LIMITS.packedBlobBytes + 1 });
    const before = storeFiles(dir);
    const cell = taskCell();
    await ask(worker, { seeds: ["dying"], sizeBytes: LIMITS.packedBlobBytes + 1, stuck: true }, cell);
    await worker.terminate();
    await store.reclaim(cell);
    assert.deepEqual(storeFiles(dir), before);
    for (const batch of [finished, beside]) if (batch !== "stuck") await store.commit(batch);
    assert.equal(store.stats().bigFiles, 2);
    await other.terminate();
    await close();
  });

  it("does not stop the committer, however often it happens", async () => {
    const { store, put: putHere, close } = await openStoreFixture(tempFolder());
    for (let round = 0; round < 8; round++) {
      const worker = startWorker(store);
      const cell = taskCell();
      await ask(worker, { seeds: seeds(`r${round}`, 20), sizeBytes: 500, stuck: true }, cell);
      await worker.terminate();
      await store.reclaim(cell);
      await putHere(contentOf(`after ${round}`, 100));
    }
    assert.equal(store.stats().blobs, 8);
    await close();
  });
});
