import assert from "node:assert/strict";
import type { CommandResult } from "../../proto/commands.ts";
import { formatCursor } from "../../proto/events.ts";
import type { Name } from "../../proto/names.ts";
import { applyCommand } from "../../services/pointer/apply/apply-command.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import { KEYS, RANGES } from "../../services/shared/state-keys.ts";
import { MemoryState } from "../helpers/memory-state.ts";
import { START_MS } from "../services/pointer/machine.ts";
import { Chance } from "./chance.ts";
import { checkEvents, commandOf, comparePointers, outcomeOf, PROJECTS } from "./compare-state.ts";
import { Model } from "./pointer-model.ts";
import type { Operation } from "./pointer-operations.ts";
import { SimulatedBus } from "./simulated-bus.ts";
import { SimulatedReplica } from "./simulated-replica.ts";

export interface Simulated {
  readonly commands: number;
  readonly acknowledged: number;
  readonly repeated: number;
  readonly crashes: number;
}

/** Digests of a prefix cost a hash of all rows: every fourth is enough to catch what a crash leaves. */
const DIGEST_EVERY = 4;

/**
 * One history in a world where answers, deliveries and processes get lost. What must hold, whatever happens: a state is that of a
 * prefix of the log at any time (no torn pointer), the log and both states have every acknowledged command with the result that
 * was heard, a repeated command has one effect (the model's), and the event stream has every event once, in order.
 */
export async function simulate(
  steps: readonly { project: number; waitMs: number; operation: Operation }[],
  seed: number,
): Promise<Simulated> {
  const chance = new Chance(seed);
  const bus = new SimulatedBus(chance);
  const replicas = [new SimulatedReplica(bus, chance), new SimulatedReplica(bus, chance)];
  const truth = new Truth(bus);
  const acknowledged: { id: string; seq: number }[] = [];
  const heard = new Map<string, CommandResult>();
  let messageMs = START_MS;

  const act = async (): Promise<void> => {
    const replica = replicas[chance.below(replicas.length)];
    if (replica === undefined) return;
    const what = chance.below(17);
    if (what < 8) await replica.deliver();
    else if (what < 13) await Promise.all(replicas.flatMap((each) => [each.relay(0), each.relay(1)]));
    else if (what === 13) replica.flushCursors();
    else if (what === 14) replica.takeSnapshot();
    else if (what === 15) replica.crash();
    else crashServer({ bus, replicas, powerCut: chance.oneIn(2) });
    truth.check(replica);
  };

  for (const [i, step] of steps.entries()) {
    messageMs += step.waitMs;
    const project = PROJECTS[step.project] ?? ("p1" as Name);
    const { model, state } = truth;
    const logMs = Math.max(truth.logMs, messageMs);
    const command = commandOf(step.operation, { seq: i + 1, project, model, log: bus.log, logMs, state });
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = bus.append(command, messageMs);
      truth.follow();
      for (let actions = chance.below(4); actions > 0; actions--) await act();
      if (answer === undefined) continue;
      acknowledged.push({ id: command.id, seq: answer.seq });
      const [by] = replicas.filter(({ appliedSeq }) => appliedSeq >= answer.seq);
      const result = by?.disk.state.get(KEYS.command(command.id))?.result;
      if (result !== undefined) heard.set(command.id, result);
      break;
    }
  }

  bus.faulty = false;
  await settleAll(replicas, bus);
  // Also when nothing more happens, what the server lost is put in again.
  crashServer({ bus, replicas, powerCut: false });
  await settleAll(replicas, bus);
  for (const replica of replicas) {
    assert.equal(
      stateDigest(replica.disk.state.rows()),
      stateDigest(truth.state.rows()),
      "both states are the log's",
    );
  }
  for (const { id, seq } of acknowledged)
    assert.equal(bus.log[seq - 1]?.command.id, id, "an acknowledged command is lost");
  for (const [id, result] of heard) {
    const kept = truth.state.get(KEYS.command(id));
    if (kept !== undefined) assert.deepEqual(kept.result, result, "an answer that was given stays true");
  }
  comparePointers(truth.state, truth.model);
  checkEvents(truth.state);
  const events = [...truth.state.range(RANGES.events())].map((row) => formatCursor(row.value));
  assert.deepEqual(bus.eventCursors(), events, "every event leaves once, in order");
  const jobs = new Set(bus.jobs);
  for (const { value } of truth.state.range(RANGES.work("prod")))
    assert.ok(jobs.has(value.publish_id), `${value.publish_id} waits, and has no job`);
  const ids = new Set(bus.log.map(({ command }) => command.id));
  return {
    commands: bus.log.length,
    acknowledged: acknowledged.length,
    repeated: bus.log.length - ids.size,
    crashes: replicas.reduce((sum, { crashes }) => sum + crashes, 0),
  };
}

/** The server dies; in a power cut its clients die with it. */
function crashServer(world: { bus: SimulatedBus; replicas: SimulatedReplica[]; powerCut: boolean }): void {
  world.bus.crash();
  for (const replica of world.replicas) {
    if (world.powerCut) replica.crash();
    else replica.reconnected();
  }
}

async function settleAll(replicas: readonly SimulatedReplica[], bus: SimulatedBus): Promise<void> {
  for (const replica of replicas) await settle(replica, bus);
}

/** Without faults, everything arrives. */
async function settle(replica: SimulatedReplica, bus: SimulatedBus): Promise<void> {
  for (let turn = 0; replica.appliedSeq < bus.log.length; turn++) {
    assert.ok(turn < 1_000, "a replica does not come to the end of the log");
    await replica.deliver();
  }
  for (let turn = 0, more = true; more; turn++) {
    assert.ok(turn < 1_000, "a relay does not come to its end");
    more = false;
    for (const which of [0, 1]) if (await replica.relay(which)) more = true;
  }
}

/** The log applied cleanly, beside the model: what every replica has to come to. */
class Truth {
  readonly state = new MemoryState();
  readonly model = new Model();
  logMs = 0;
  readonly #bus: SimulatedBus;
  readonly #digests = new Map<number, string>();
  #seq = 0;

  constructor(bus: SimulatedBus) {
    this.#bus = bus;
  }

  follow(): void {
    for (const { seq, timeMs, command } of this.#bus.log.slice(this.#seq)) {
      const known = this.state.get(KEYS.command(command.id));
      const result = applyCommand(this.state, command, { seq, timeMs });
      this.logMs = Math.max(this.logMs, timeMs);
      if (known !== undefined)
        assert.deepEqual(result, known.result, "a repeated command has the same result");
      else {
        const expected = this.model.apply(command.project ?? "", command.body, { seq, timeMs: this.logMs });
        assert.equal(outcomeOf(result, command.body), expected, `${seq} ${JSON.stringify(command.body)}`);
      }
      this.#seq = seq;
      if (seq % DIGEST_EVERY === 0) this.#digests.set(seq, stateDigest(this.state.rows()));
    }
  }

  /** A replica's state is that of the log up to where it is: nothing half done, nothing done twice. */
  check(replica: SimulatedReplica): void {
    const digest = this.#digests.get(replica.appliedSeq);
    if (digest !== undefined) assert.equal(stateDigest(replica.disk.state.rows()), digest, "a torn state");
  }
}
