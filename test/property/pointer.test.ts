import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { CommandResult } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";
import { applyCommand } from "../../services/pointer/apply/apply-command.ts";
import { applyBatch } from "../../services/pointer/apply-batch.ts";
import type { LogEntry } from "../../services/shared/bus.ts";
import { openStateWriter } from "../../services/shared/state-db.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import type { KEYS } from "../../services/shared/state-keys.ts";
import { MemoryState } from "../helpers/memory-state.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { START_MS } from "../services/pointer/machine.ts";
import { checkEvents, commandOf, comparePointers, outcomeOf, PROJECTS, substance } from "./compare-state.ts";
import { Model } from "./pointer-model.ts";
import { history, type Operation } from "./pointer-operations.ts";

test("any history of commands does what the model says, and leaves every invariant whole", (t) => {
  check(t, history, (steps) => {
    run(steps);
  });
});

test("a replay, a replay from any snapshot and a replica on disk with any grouping reach the same state", async (t) => {
  const writer = openStateWriter(tempFolder());
  check(
    t,
    fc.tuple(history, fc.nat(), fc.integer({ min: 1, max: 9 })),
    ([steps, cut, group]) => {
      const { log, state } = run(steps);
      const digest = stateDigest(state.rows());
      assert.equal(stateDigest(replay(new MemoryState(), log).rows()), digest);

      const prefix = log.slice(0, cut % (log.length + 1));
      const snapshot = MemoryState.from(replay(new MemoryState(), prefix).rows());
      assert.equal(stateDigest(replay(snapshot, log.slice(prefix.length)).rows()), digest);

      clear(writer);
      for (let at = 0; at < log.length; at += group) {
        // A reconnected follower may be handed what it has applied already.
        applyBatch(writer, log.slice(Math.max(0, at - 2), at + group));
      }
      assert.equal(stateDigest(writer.rows()), digest);
    },
    40,
  );
  await writer.close();
});

function check<T>(t: TestContext, arbitrary: fc.Arbitrary<T>, body: (value: T) => void, numRuns = 150): void {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  fc.assert(fc.property(arbitrary, body), { numRuns, seed, verbose: 0 });
}

function replay(state: MemoryState, log: readonly LogEntry[]): MemoryState {
  for (const { seq, timeMs, command } of log) applyCommand(state, command, { seq, timeMs });
  return state;
}

function clear(writer: ReturnType<typeof openStateWriter>): void {
  writer.transact((tx) => {
    for (const [key] of [...writer.rows()]) tx.remove(key as ReturnType<typeof KEYS.meta>);
  });
}

/** Applies a history to the state machine and to the model, and compares them after every command. */
function run(steps: readonly { project: number; waitMs: number; operation: Operation }[]): {
  log: LogEntry[];
  state: MemoryState;
} {
  const state = new MemoryState();
  const model = new Model();
  const log: LogEntry[] = [];
  const results = new Map<string, CommandResult>();
  let messageMs = START_MS;
  let logMs = 0;
  for (const step of steps) {
    const seq = log.length + 1;
    messageMs += step.waitMs;
    logMs = Math.max(logMs, messageMs);
    const project = PROJECTS[step.project] ?? ("p1" as Name);
    const command = commandOf(step.operation, { seq, project, model, log, logMs, state });
    const seen = results.get(command.id);
    const before = substance(state, logMs);
    const result = applyCommand(state, command, { seq, timeMs: messageMs });
    log.push({ seq, timeMs: messageMs, command });
    if (seen !== undefined) {
      assert.deepEqual(result, seen, "a repeated command has the same result");
      assert.equal(substance(state, logMs), before, "a repeated command has no second effect");
      continue;
    }
    results.set(command.id, result);
    const expected = model.apply(command.project ?? "", command.body, { seq, timeMs: logMs });
    assert.equal(outcomeOf(result, command.body), expected, `${seq} ${JSON.stringify(command.body)}`);
    if (!result.ok) assert.equal(substance(state, logMs), before, "a refused command changes nothing");
    comparePointers(state, model);
  }
  checkEvents(state);
  return { log, state };
}
