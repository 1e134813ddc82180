import assert from "node:assert/strict";
import { test } from "node:test";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import { LANE } from "../../../services/pointer/lane.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { listPublishes } from "../../../services/shared/state-queries.ts";
import { random } from "../../helpers/random.ts";
import { AT, acceptOf, Machine, ORG, readyOf } from "./machine.ts";

const SEED = 20_261_122;

function limit(machine: Machine, max_concurrency: number | null): void {
  machine.ok({ type: "project.set", settings: { max_concurrency } });
}

function accept(machine: Machine, ...contents: string[]): void {
  for (const content of contents) machine.ok(acceptOf(content));
}

function start(machine: Machine, id: string) {
  return machine.apply({
    type: "start",
    publish_id: id,
    attempt: machine.publishRecord(id).attempt + 1,
    node: "n1",
  });
}

/** What nodes may take up or work on, and what waits for a turn, in order. */
function standing(machine: Machine): { work: string[]; waiting: string[] } {
  const ids = (rows: Iterable<{ value: { publish_id: string } }>) =>
    [...rows].map(({ value }) => value.publish_id.slice("pub_".length));
  return {
    work: ids(machine.state.range(RANGES.orgWork(LANE, ORG))),
    waiting: ids(machine.state.range(RANGES.waitingWork(AT))),
  };
}

test("of a project with max_concurrency so many publishes become work, and each that ends makes room for the one that waits longest", () => {
  const machine = new Machine();
  machine.publish("first");
  limit(machine, 2);
  accept(machine, "a", "b", "c", "d");
  assert.deepEqual(standing(machine), { work: ["a", "b"], waiting: ["c", "d"] });
  const refused = start(machine, "pub_c");
  assert.equal(refused.ok ? "ok" : refused.error.code, "STATE_CONFLICT");
  assert.ok(start(machine, "pub_b").ok);
  machine.ok(readyOf("pub_b", "b"));
  assert.deepEqual(standing(machine), { work: ["a", "c"], waiting: ["d"] });
  machine.ok({ type: "cancel", publish_id: "pub_a" });
  assert.deepEqual(standing(machine), { work: ["c", "d"], waiting: [] });
});

test("what waits for a turn can be cancelled and overtaken, which gives nobody another turn", () => {
  const machine = new Machine();
  machine.publish("first");
  limit(machine, 1);
  accept(machine, "a", "b", "c");
  machine.ok({ type: "cancel", publish_id: "pub_b" });
  assert.deepEqual(standing(machine), { work: ["a"], waiting: ["c"] });
  machine.ok({ type: "project.set", settings: { overtake: true } });
  accept(machine, "d", "e");
  assert.equal(machine.publishRecord("pub_d").state, "overtaken");
  assert.deepEqual(standing(machine), { work: ["a"], waiting: ["c", "e"] });
});

test("a lower max_concurrency holds for what is queued already, and takes nothing from what runs; without it all have their turn", () => {
  const machine = new Machine();
  accept(machine, "a", "b", "c", "d");
  assert.ok(start(machine, "pub_b").ok);
  assert.ok(start(machine, "pub_c").ok);
  limit(machine, 1);
  assert.deepEqual(standing(machine), { work: ["b", "c"], waiting: ["a", "d"] });
  machine.ok(readyOf("pub_b", "b"));
  assert.deepEqual(standing(machine), { work: ["c"], waiting: ["a", "d"] });
  machine.ok(readyOf("pub_c", "c"));
  assert.deepEqual(standing(machine), { work: ["a"], waiting: ["d"] });
  limit(machine, null);
  assert.deepEqual(standing(machine), { work: ["a", "d"], waiting: [] });
  assert.equal(machine.state.get(KEYS.turns(AT)), undefined);
});

test("another project of the org is not bound by it", () => {
  const machine = new Machine();
  machine.publish("first");
  limit(machine, 1);
  accept(machine, "a", "b");
  machine.ok(acceptOf("c"), { project: "other" as typeof AT.project });
  assert.deepEqual(standing(machine), { work: ["a", "c"], waiting: ["b"] });
});

test(`whatever happens, each publish is work or waits, none waits beside a free turn, and the counts hold (seed ${SEED})`, () => {
  const chance = random(SEED);
  for (let history = 0; history < 60; history++) {
    const machine = new Machine();
    machine.publish("first");
    let running = 0;
    for (let n = 0; n < 60; n++) {
      step(machine, { n, below: (end) => Math.floor(chance() * end) });
      running = check(machine, running);
    }
  }
});

function openOf(machine: Machine) {
  const { items } = listPublishes(machine.state, AT, { limit: 100 });
  return items.filter(({ state }) => !TERMINAL_STATES.has(state));
}

/** Something happens to the project. */
function step(machine: Machine, { n, below }: { n: number; below(end: number): number }): void {
  const open = openOf(machine);
  const one = open[below(open.length)];
  const what = below(8);
  if (what <= 2 || one === undefined) accept(machine, `w${n}`);
  else if (what === 3) machine.ok({ type: "cancel", publish_id: one.publish_id });
  else if (what === 4) limit(machine, below(4) === 0 ? null : 1 + below(3));
  else if (one.state === "queued") start(machine, one.publish_id);
  else machine.ok(readyOf(one.publish_id, one.publish_id, one.attempt));
}

/** @returns how many run */
function check(machine: Machine, ranBefore: number): number {
  const { work, waiting } = standing(machine);
  const open = openOf(machine);
  const allowed = machine.project.settings.max_concurrency ?? null;
  assert.deepEqual(
    [...work, ...waiting].toSorted(),
    open.map(({ publish_id }) => publish_id.slice("pub_".length)).toSorted(),
  );
  const running = open.filter(({ state }) => state !== "queued");
  const turns = allowed ?? Number.POSITIVE_INFINITY;
  assert.ok(work.length <= Math.max(turns, running.length));
  assert.ok(running.length <= Math.max(turns, ranBefore));
  if (waiting.length > 0) assert.ok(work.length >= turns);
  for (const { publish_id, state } of running)
    assert.ok(work.includes(publish_id.slice("pub_".length)), `${publish_id} is ${state}, and is no work`);
  assert.equal(machine.state.get(KEYS.turns(AT)), allowed === null ? undefined : work.length);
  assert.equal(machine.state.get(KEYS.orgWaiting(ORG)) ?? 0, waiting.length);
  assert.equal(machine.state.get(KEYS.backlog(ORG)), open.length);
  for (const { value } of machine.state.range(RANGES.turnsGiven(0, machine.appliedSeq)))
    assert.notEqual(machine.state.get(KEYS.work(LANE, value.org, value.order))?.turn, undefined);
  return running.length;
}
