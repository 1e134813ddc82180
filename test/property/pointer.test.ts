import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import type { Command, CommandBody, CommandResult } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";
import { applyCommand } from "../../services/pointer/apply/apply-command.ts";
import { applyBatch } from "../../services/pointer/apply-batch.ts";
import type { LogEntry } from "../../services/shared/bus.ts";
import { openStateWriter } from "../../services/shared/state-db.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import { MemoryState } from "../../services/shared/state-db-memory.ts";
import { KEYS, RANGES } from "../../services/shared/state-keys.ts";
import { findProject, findPublish, listEvents, listHistory } from "../../services/shared/state-queries.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { START_MS } from "../services/pointer/machine.ts";
import { comparePreviews } from "./compare-previews.ts";
import type { ModelProject } from "./model-project.ts";
import { Model } from "./pointer-model.ts";
import { bodyOf, history, type Operation } from "./pointer-operations.ts";
import { compareSessions } from "./session-model.ts";

const ORG = "acme" as Name;
const PROJECTS = ["p1", "p2"] as Name[];

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
    const before = substance(state);
    const result = applyCommand(state, command, { seq, timeMs: messageMs });
    log.push({ seq, timeMs: messageMs, command });
    if (seen !== undefined) {
      assert.deepEqual(result, seen, "a repeated command has the same result");
      assert.equal(substance(state), before, "a repeated command has no second effect");
      continue;
    }
    results.set(command.id, result);
    const expected = model.apply(command.project ?? "", command.body, { seq, timeMs: logMs });
    assert.equal(outcomeOf(result, command.body), expected, `${seq} ${JSON.stringify(command.body)}`);
    if (!result.ok) assert.equal(substance(state), before, "a refused command changes nothing");
    compare(state, model);
  }
  checkEvents(state);
  return { log, state };
}

function commandOf(
  operation: Operation,
  context: {
    seq: number;
    project: Name;
    model: Model;
    log: readonly LogEntry[];
    logMs: number;
    state: MemoryState;
  },
): Command {
  const { seq, project, log } = context;
  if (operation.op === "repeat" && log.length > 0) {
    const repeated = log[operation.nth % log.length];
    // Results are kept for 7 days; what is repeated later is a new command.
    const kept = repeated !== undefined && context.state.get(KEYS.command(repeated.command.id)) !== undefined;
    if (kept) return repeated.command;
  }
  return {
    v: 1,
    id: `cmd_${seq}`,
    actor: { kind: "token", id: "tok_1" },
    org: ORG,
    project,
    body: bodyOf(operation, context),
  };
}

/** A result in the model's words. */
function outcomeOf(result: CommandResult, body: CommandBody): string {
  if (!result.ok) return result.error.code;
  const { value } = result;
  if (body.type === "project.set") return "set";
  if (value.type === "ended") return value.applied ? "applied" : "ignored";
  if (value.type === "session")
    return `${value.started ? "started" : "goes on"} with ${value.session.version}`;
  if (value.type === "promoted") return `${value.existing ? "existing" : "new"} ${value.version}`;
  if (value.type !== "accepted") return value.changed ? "changed" : "unchanged";
  return value.outcome === "new" ? "new" : `${value.outcome} ${value.publish_id}`;
}

/** The state without what refused and repeated commands leave too. */
function substance(state: MemoryState): string {
  return stateDigest(
    [...state.rows()].filter(
      ([key]) => !/^(?:meta$|audit\/|command\/|command-at\/|brief-command-at\/|idempotency)/.test(key),
    ),
  );
}

function compare(state: MemoryState, model: Model): void {
  let unfinished = 0;
  for (const [name, expected] of model.projects) {
    const at = { org: ORG, project: name as Name };
    const project = findProject(state, at);
    assert.ok(project);
    assert.equal(project.current, expected.current === undefined ? null : `v${expected.current}`);
    assert.equal(project.generation, expected.activations.length);
    assert.equal(project.last_version, expected.releases.length);
    assert.equal(project.hold?.reason, expected.hold?.reason);
    for (const publish of expected.publishes) {
      const record = findPublish(state, publish.id);
      const version = publish.version === undefined ? undefined : `v${publish.version}`;
      assert.deepEqual(
        [record?.state, record?.version, record?.attempt, record?.overtaken_by],
        [publish.state, version, publish.attempt, publish.overtakenBy],
      );
      if (["queued", "ingesting"].includes(publish.state)) unfinished += 1;
    }
    comparePreviews(state, at, expected);
    compareServed(state, at, expected);
    compareSessions(state, at, expected);
    const live = [...state.range(RANGES.releases(at))].filter((row) => row.value.state === "active");
    assert.deepEqual(
      live.map((row) => row.value.version),
      project.current === null ? [] : [project.current],
    );
    const rows = [...state.range(RANGES.history(at))].map((row) => row.value.to);
    assert.deepEqual(
      rows,
      expected.activations.map((activation) => `v${activation.version}`),
    );
    const [last] = listHistory(state, at, { limit: 1 }).items;
    assert.equal(last?.to ?? null, project.current);
  }
  assert.equal(state.get(KEYS.backlog(ORG)) ?? 0, unfinished);
  assert.equal([...state.range(RANGES.work("prod"))].length, unfinished);
}

/** Served because of releases: what those reference that are not retired, and nothing else. */
function compareServed(state: MemoryState, at: { org: Name; project: Name }, expected: ModelProject): void {
  const kept = new Set(expected.releases.flatMap(({ image, retired }) => (retired ? [] : [image])));
  const prefix = `digest/${at.org}/${at.project}/`;
  const rows = [...state.rows()].filter(([key]) => key.startsWith(prefix));
  assert.equal(rows.length, kept.size * 3);
  const served = new Set(rows.map(([key]) => `sha256:${key.slice(prefix.length)}`));
  for (const image of kept) assert.ok(served.has(image), image);
  const retired = [...state.range(RANGES.releases(at))].map((row) => row.value.state === "retired");
  assert.deepEqual(
    retired,
    expected.releases.map((release) => release.retired === true),
  );
}

function checkEvents(state: MemoryState): void {
  for (const project of PROJECTS) {
    const numbers: number[] = [];
    for (let after = { seq: 0, k: 0 }; ; ) {
      const events = listEvents(state, { org: ORG, project }, { after, limit: 7 });
      if (events.length === 0) break;
      numbers.push(...events.map((event) => event.n));
      after = events.at(-1) ?? after;
    }
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
      "events of a project are numbered without gap",
    );
    assert.equal(findProject(state, { org: ORG, project })?.event_n ?? 0, numbers.length);
  }
}
