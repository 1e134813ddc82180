import assert from "node:assert/strict";
import type { Command, CommandBody, CommandResult } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";
import type { LogEntry } from "../../services/shared/bus.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import { KEYS, RANGES } from "../../services/shared/state-keys.ts";
import { findProject, findPublish, listEvents, listHistory } from "../../services/shared/state-queries.ts";
import type { MemoryState } from "../helpers/memory-state.ts";
import { comparePreviews } from "./compare-previews.ts";
import type { ModelProject } from "./model-project.ts";
import type { Model } from "./pointer-model.ts";
import { bodyOf, type Operation } from "./pointer-operations.ts";
import { compareSessions } from "./session-model.ts";

const ORG = "acme" as Name;
export const PROJECTS = ["p1", "p2"] as Name[];

/** The command that an operation stands for at its place in a history. */
export function commandOf(
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
export function outcomeOf(result: CommandResult, body: CommandBody): string {
  if (!result.ok) return result.error.code;
  const { value } = result;
  if (body.type === "project.set") return "set";
  if (value.type === "ended") return value.applied ? "applied" : "ignored";
  if (value.type === "subscription") return value.held ? "held" : "not held";
  if (value.type === "session")
    return `${value.started ? "started" : "goes on"} with ${value.session.version}`;
  if (value.type === "promoted") return `${value.existing ? "existing" : "new"} ${value.version}`;
  if (value.type !== "accepted") return value.changed ? "changed" : "unchanged";
  return value.outcome === "new" ? "new" : `${value.outcome} ${value.publish_id}`;
}

/** The state without what refused and repeated commands leave too, and without what is over at `timeMs`: any command may remove it. */
export function substance(state: MemoryState, timeMs: number): string {
  const over = new Set<string>();
  for (const { key, value } of state.range(RANGES.rowExpiry()))
    if (Number(key.split("/")[1]) <= timeMs) for (const row of [key, ...value]) over.add(row);
  return stateDigest(
    [...state.rows()].filter(
      ([key]) =>
        !over.has(key) &&
        !/^(?:meta$|audit\/|command\/|command-at\/|brief-command-at\/|idempotency)/.test(key),
    ),
  );
}

export function comparePointers(state: MemoryState, model: Model): void {
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

export function checkEvents(state: MemoryState): void {
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
