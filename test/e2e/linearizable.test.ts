import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { CurrentJson, PointerChangeJson, Problem } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { projectUrl, publishReady, send } from "../helpers/farm-requests.ts";

/**
 * A hundred clients race for one pointer. The generation orders all writes, so linearizability (Herlihy & Wing 1990) is a check of
 * intervals: whatever ended before another operation began has the smaller generation, and what is read is what was written under
 * that generation.
 */
const CLIENTS = 100;
const OPERATIONS = Number(process.env["GRANARY_LINEAR_OPERATIONS"] ?? 4);
const VERSIONS = 3;
const folder = tempDir("linearizable");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: `${folder}/data`, env: { GRANARY_LOG: "error" } });
  for (let i = 1; i <= VERSIONS; i++)
    await publishReady(farm, "raced", appArchive({ "app.txt": `release ${i}` }), {
      query: { commit: `${i}`.repeat(7) },
    });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

interface Operation {
  readonly begun: number;
  readonly ended: number;
  readonly kind: "read" | "write" | "refused";
  /** What the answer says of the pointer; of a refusal: what it was when it refused. */
  readonly generation: number;
  readonly current: string | null;
  /** Of a refusal: the generation that the client had seen. */
  readonly expected?: number;
}

test("a hundred clients racing for one pointer see one order of its moves", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const histories = await Promise.all(
    Array.from({ length: CLIENTS }, (_, client) => race(random(seed + client))),
  );
  const operations = histories.flat();
  assert.equal(operations.length, CLIENTS * OPERATIONS);
  const writes = operations.filter(({ kind }) => kind === "write");
  const refused = operations.filter(({ kind }) => kind === "refused");
  t.diagnostic(`${writes.length} moves, ${refused.length} refused as stale, ${operations.length} operations`);

  const written = new Map<number, string | null>();
  for (const { generation, current } of writes) {
    assert.ok(!written.has(generation), `two moves are generation ${generation}`);
    written.set(generation, current);
  }
  const generations = [...written.keys()].sort((a, b) => a - b);
  const [first = 0] = generations;
  assert.deepEqual(
    generations,
    Array.from({ length: generations.length }, (_, i) => first + i),
  );
  for (const { generation, current } of operations)
    if (written.has(generation)) assert.equal(current, written.get(generation), `generation ${generation}`);
  for (const { expected, generation } of refused) assert.notEqual(expected, generation);
  assertRealTime(operations);
});

/** No operation that began after another had ended is of an earlier generation; no move equals one that was known before. */
function assertRealTime(operations: readonly Operation[]): void {
  const byEnd = [...operations].sort((a, b) => a.ended - b.ended);
  const byBegin = [...operations].sort((a, b) => a.begun - b.begun);
  let next = 0;
  let known = 0;
  for (const operation of byBegin) {
    for (let done = byEnd[next]; done !== undefined && done.ended < operation.begun; done = byEnd[++next])
      known = Math.max(known, done.generation);
    const floor = operation.kind === "write" ? known + 1 : known;
    assert.ok(
      operation.generation >= floor,
      `a ${operation.kind} saw generation ${operation.generation} after ${known} had been answered`,
    );
  }
}

async function race(next: () => number): Promise<Operation[]> {
  const done: Operation[] = [];
  for (let i = 0; i < OPERATIONS; i++) done.push(await operate(next, done.at(-1)?.generation));
  return done;
}

async function operate(next: () => number, seen: number | undefined): Promise<Operation> {
  const choice = next();
  if (choice < 0.4) return timed(() => send<CurrentJson>(farm, `${projectUrl("raced")}/current`));
  const expected = seen !== undefined && choice < 0.7 ? seen : undefined;
  const version = `v${1 + Math.floor(next() * VERSIONS)}`;
  const [path, body] =
    choice > 0.9 ? ["rollbacks", { to: version }] : ["activations", { version, reason: "race" }];
  return timed(
    () =>
      send<PointerChangeJson>(farm, `${projectUrl("raced")}/${path}`, {
        json: { ...body, ...(expected === undefined ? {} : { expected_generation: expected }) },
      }),
    expected,
  );
}

async function timed(
  ask: () => Promise<{ status: number; body: CurrentJson | PointerChangeJson | Problem; text: string }>,
  expected?: number,
): Promise<Operation> {
  const begun = performance.now();
  const { status, body, text } = await ask();
  const ended = performance.now();
  if (status === 200 && "generation" in body) {
    const moved = "changed" in body && body.changed;
    const current = "to" in body ? body.to : body.version;
    return { begun, ended, kind: moved ? "write" : "read", generation: body.generation, current };
  }
  const problem = body as Problem;
  assert.ok(status === 409 && problem.code === "GENERATION_STALE", text);
  const { generation, current } = problem.params as { generation: number; current: string };
  return {
    begun,
    ended,
    kind: "refused",
    generation,
    current,
    ...(expected === undefined ? {} : { expected }),
  };
}

/** mulberry32: the same numbers for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
