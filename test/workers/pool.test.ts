import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { GranaryError, type Outcome } from "../../proto/errors.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import { type ExtractTask, TASK_CELL, type TaskLog } from "../../proto/worker-tasks.ts";
import { openStore } from "../../store/store.ts";
import { WorkerPool } from "../../workers/pool.ts";
import { random } from "../helpers/random.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

/** Threads that go wrong: the task ends with a code, nothing else suffers, and the pool has as many threads as before. */
const THREADS = 2;
const ENTRY = new URL("../helpers/pool-tasks-main.js", import.meta.url);
const DATA = {
  storeDir: "",
  segmentIds: new SharedArrayBuffer(4),
  fsCells: new SharedArrayBuffer(4),
  taskSlots: new SharedArrayBuffer(4),
};
/** What is to be cleaned up, the newest last. */
const reclaimed: SharedArrayBuffer[] = [];
const BAD = {
  workerData: DATA,
  entry: ENTRY,
  reclaim: async (cell: SharedArrayBuffer) => void reclaimed.push(cell),
};
const pool = new WorkerPool({ threads: THREADS, ...BAD });
after(() => pool.close());

interface Limits {
  readonly signal?: AbortSignal;
  readonly stallMs?: number;
  readonly deadlineMs?: number;
}

function run(behaviour: string, limits: Limits = {}): Promise<unknown> {
  return runOn(pool, behaviour, limits);
}

async function runOn(some: WorkerPool, behaviour: string, limits: Limits = {}): Promise<unknown> {
  const task: Omit<ExtractTask, "cell"> = {
    archivePath: behaviour,
    uploadBytes: 0,
    limits: ARCHIVE_LIMITS,
    portableNames: false,
    strip: 0,
    baseTrees: [],
    baseLayers: [],
    imageBuilds: false,
    log: { attempt: 1, lines: [], port: {} as TaskLog["port"] },
  };
  const outcome: Outcome<unknown> = await some.run("extract", task, {
    signal: limits.signal ?? new AbortController().signal,
    stallMs: limits.stallMs ?? 20_000,
    deadlineMs: limits.deadlineMs ?? 20_000,
  });
  if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
  return outcome.value;
}

function lastReclaimed(): Float64Array {
  const cell = reclaimed.at(-1);
  assert.ok(cell !== undefined, "nothing was cleaned up");
  return new Float64Array(cell);
}

async function failsWith(code: string, running: Promise<unknown>): Promise<GranaryError> {
  try {
    await running;
  } catch (error) {
    assert.ok(error instanceof GranaryError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`it did not fail with ${code}`);
}

/** Every thread works: as many tasks as there are threads, at the same time, each of which waits. */
async function isWhole(): Promise<void> {
  const began = performance.now();
  const values = await Promise.all(Array.from({ length: THREADS * 2 }, () => run("slow")));
  assert.equal(values.length, THREADS * 2);
  assert.ok(performance.now() - began < 10_000);
}

/** Which threads there are: each answers for itself while the others wait. */
async function threadIds(): Promise<unknown[]> {
  const ids = await Promise.all(Array.from({ length: THREADS }, () => run("slow-id")));
  return ids.sort();
}

describe("a task", () => {
  const ends: readonly { behaviour: string; code: string; limits?: Limits; message: RegExp }[] = [
    {
      behaviour: "hang",
      code: "ARCHIVE_TIMEOUT",
      limits: { stallMs: 500 },
      message: /no progress for 500 ms/,
    },
    {
      behaviour: "creep",
      code: "ARCHIVE_TIMEOUT",
      limits: { deadlineMs: 700 },
      message: /longer than 700 ms/,
    },
    { behaviour: "exit", code: "ARCHIVE_WORKER_DIED", message: /exited with code: 3/ },
    { behaviour: "memory", code: "ARCHIVE_WORKER_DIED", message: /memory/ },
    { behaviour: "throw", code: "ARCHIVE_WORKER_DIED", message: /a bug in the task/ },
    { behaviour: "unhandled", code: "ARCHIVE_WORKER_DIED", message: /nobody listens/ },
  ];
  for (const { behaviour, code, limits, message } of ends) {
    test(`that ends like "${behaviour}" is ${code}, its neighbour goes on, and the pool is whole again`, async () => {
      const before = reclaimed.length;
      const neighbour = run("slow");
      const error = await failsWith(code, run(behaviour, limits));
      assert.match(error.message, message);
      assert.equal(await neighbour, "slow");
      assert.equal(reclaimed.length, before + 1, "nobody cleans up behind a task that has answered");
      assert.equal(lastReclaimed()[TASK_CELL.segmentId], 7, "the cell says what to clean up");
      await isWhole();
    });
  }

  test("that refuses its archive says so as data, and costs no thread", async () => {
    const error = await failsWith("ARCHIVE_BAD_MAGIC", run("reject"));
    assert.deepEqual(error.detail, { offset: 0 });
    await isWhole();
  });

  for (const behaviour of ["polite", "hang"]) {
    test(`that is cancelled while it runs (${behaviour}) frees its thread at once, or a moment after it hung`, async () => {
      const cancels = Array.from({ length: THREADS }, () => new AbortController());
      const running = cancels.map(({ signal }) => failsWith("CANCELLED", run(behaviour, { signal })));
      await new Promise((resolve) => setTimeout(resolve, 300));
      const began = performance.now();
      for (const cancel of cancels) cancel.abort();
      await Promise.all(running);
      const ms = performance.now() - began;
      // Far from what it was given for the task; a quarter second on a machine that has nothing else to do.
      assert.ok(ms < 5_000, `${Math.round(ms)} ms`);
      assert.equal(await run("next"), "next");
      await isWhole();
    });
  }

  test("that stops when it is told to keeps its thread", async () => {
    const threads = await threadIds();
    const cancel = new AbortController();
    const polite = failsWith("CANCELLED", run("polite", { signal: cancel.signal }));
    const late = failsWith("ARCHIVE_TIMEOUT", run("polite", { deadlineMs: 400 }));
    await new Promise((resolve) => setTimeout(resolve, 200));
    cancel.abort();
    await Promise.all([polite, late]);
    assert.deepEqual(await threadIds(), threads);
  });

  test("that was cancelled before it began does not run at all", async () => {
    const cancel = new AbortController();
    cancel.abort();
    await failsWith("CANCELLED", run("hang", { signal: cancel.signal }));
    assert.equal(lastReclaimed()[TASK_CELL.progress], 0);
  });

  test("that waits for a thread is not on the clock yet", async () => {
    const blockers = Array.from({ length: THREADS }, () =>
      failsWith("ARCHIVE_TIMEOUT", run("hang", { stallMs: 1_500 })),
    );
    assert.equal(await run("waited", { stallMs: 500, deadlineMs: 500 }), "waited");
    await Promise.all(blockers);
  });
});

test("what tasks leave to their thread's next tick is done between them, and holds no memory", async (t) => {
  const one = new WorkerPool({ threads: 1, ...BAD });
  let most = 0;
  for (let i = 0; i < 200; i++) most = Math.max(most, Number(await runOn(one, "litter")));
  await one.close();
  const mib = Math.round(most / 2 ** 20);
  t.diagnostic(`at most ${mib} of 200 MiB`);
  assert.ok(mib < 120, `${mib} MiB`);
});

test("fifty tasks of which every fifth goes wrong: the others all end well", async () => {
  const wrong = ["exit", "throw", "reject", "hang"];
  const results = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      if (i % 5 !== 0) return run(`good-${i}`);
      const behaviour = wrong[(i / 5) % wrong.length] ?? "";
      return failsWith(
        behaviour === "hang"
          ? "ARCHIVE_TIMEOUT"
          : behaviour === "reject"
            ? "ARCHIVE_BAD_MAGIC"
            : "ARCHIVE_WORKER_DIED",
        run(behaviour, { stallMs: 400 }),
      );
    }),
  );
  assert.equal(results.filter((result) => typeof result === "string").length, 40);
  await isWhole();
});

describe("a pool that is resized", () => {
  const NUMBER = 4;
  const ids = async (some: WorkerPool, tasks: number): Promise<Set<unknown>> =>
    new Set(await Promise.all(Array.from({ length: tasks }, () => runOn(some, "slow-id"))));

  test("grows at once, shrinks between tasks, and takes back a shrinking that is overtaken", async () => {
    const sized = new WorkerPool({ threads: 1, ...BAD });
    assert.equal((await ids(sized, 3)).size, 1);
    sized.resize(NUMBER);
    assert.equal(sized.threads, NUMBER);
    assert.equal(sized.liveThreads, NUMBER, "threads are made without work for them");
    const before = await ids(sized, NUMBER * 2);
    assert.equal(before.size, NUMBER);

    const running = Array.from({ length: NUMBER * 3 }, () => runOn(sized, "slow-id"));
    sized.resize(2);
    const used = await Promise.all(running);
    assert.equal(used.length, NUMBER * 3);
    assert.ok(
      used.every((id) => before.has(id)),
      "what ran and what was queued ended on threads that were there",
    );
    await waitUntil("two threads are left", 20_000, () => sized.liveThreads === 2);
    const after = await ids(sized, NUMBER);
    assert.equal(after.size, 2);
    assert.ok(
      [...after].every((id) => before.has(id)),
      "the threads that stay are not made anew",
    );

    sized.resize(1);
    sized.resize(3);
    sized.resize(2);
    assert.equal((await ids(sized, NUMBER * 2)).size >= 2, true);
    await waitUntil("the last word holds", 20_000, () => sized.liveThreads === 2);
    await sized.close();
  });

  test("loses and doubles no task while it is resized all the time and threads die", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 100_000);
    const next = random(seed);
    const sized = new WorkerPool({ threads: 2, ...BAD });
    const tasks = Array.from({ length: 300 }, (_, i) =>
      i % 50 === 49
        ? failsWith("ARCHIVE_WORKER_DIED", runOn(sized, "exit"))
        : runOn(sized, i % 3 === 0 ? `short-${i}` : `good-${i}`),
    );
    let ended = false;
    const all = Promise.all(tasks).finally(() => {
      ended = true;
    });
    while (!ended) {
      sized.resize(1 + Math.floor(next() * 6));
      await new Promise((resolve) => setTimeout(resolve, 5 + next() * 60));
    }
    const values = (await all).filter((value) => typeof value === "string");
    assert.equal(values.length, 294, `seed ${seed}`);
    assert.equal(new Set(values).size, values.length, `seed ${seed}`);
    sized.resize(3);
    await waitUntil(`three threads in the end, seed ${seed}`, 20_000, () => sized.liveThreads === 3);
    assert.equal(sized.busyThreads, 0);
    await sized.close();
  });
});

test("a pool that is closed while its threads load harms neither them nor the process", async () => {
  const dir = tempFolder();
  const store = await openStore({ dir, log: () => undefined });
  // Node aborts the process when a thread is ended while it loads modules or addons: the real threads load for some 300 ms.
  for (let i = 0; i < 6; i++) {
    const short = new WorkerPool({
      threads: 2,
      workerData: store.workerData(),
      reclaim: (cell) => store.reclaim(cell),
    });
    await new Promise((resolve) => setTimeout(resolve, 60 * i));
    await short.close();
  }
  await store.close();
});
