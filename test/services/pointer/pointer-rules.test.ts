import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import { applyCommand } from "../../../services/pointer/apply/apply-command.ts";
import { findHold } from "../../../services/shared/find-hold.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import {
  findActivationAt,
  findNode,
  findTokenByHash,
  listAudit,
  listHistory,
} from "../../../services/shared/state-queries.ts";
import { AT, acceptOf, commandOf, Machine, ORG } from "./machine.ts";

const refusal = (result: ReturnType<Machine["apply"]>) => (result.ok ? "ok" : result.error.code);

function three(): Machine {
  const machine = new Machine();
  for (const content of ["one", "two", "three"]) machine.publish(content);
  return machine;
}

test("activating a version moves the pointer by one generation and leaves a row of history", () => {
  const machine = three();
  const value = machine.ok({ type: "activate", version: "v1", reason: "hotfix" });
  assert.deepEqual(value, {
    type: "pointer",
    changed: true,
    generation: 4,
    from: "v3",
    to: "v1",
    cause: "activate",
  });
  assert.equal(machine.release(1).state, "active");
  assert.equal(machine.release(3).state, "superseded");
  const [row] = listHistory(machine.state, AT).items;
  assert.deepEqual([row?.generation, row?.from, row?.to, row?.reason], [4, "v3", "v1", "hotfix"]);
});

test("activating what is live changes nothing and is no failure", () => {
  const machine = three();
  const before = machine.substance();
  const value = machine.ok({ type: "activate", version: "v3" });
  assert.deepEqual(value, {
    type: "pointer",
    changed: false,
    generation: 3,
    from: "v3",
    to: "v3",
    cause: "activate",
  });
  assert.equal(machine.substance(), before);
});

test("a stale generation is refused with the present state, even for the version that is live", () => {
  const machine = three();
  const result = machine.apply({ type: "activate", version: "v3", expected_generation: 2 });
  assert.equal(refusal(result), "GENERATION_STALE");
  assert.deepEqual(!result.ok && result.error.detail, { generation: 3, expected: 2, current: "v3" });
  assert.equal(refusal(machine.apply({ type: "activate", version: "v1", expected_generation: 3 })), "ok");
});

test("an unknown or retired release is not activated", () => {
  const machine = three();
  assert.equal(refusal(machine.apply({ type: "activate", version: "v9" })), "NOT_FOUND");
  assert.equal(refusal(machine.apply({ type: "activate", version: "latest" })), "NOT_FOUND");
  machine.state.put(KEYS.release(AT, 1), { ...machine.release(1), state: "retired" });
  assert.equal(refusal(machine.apply({ type: "activate", version: "v1" })), "RELEASE_RETIRED");
});

test("a token that only ships forward is refused what is older than the live release by the time it is applied", () => {
  const machine = three();
  const forward = (version: string) => machine.apply({ type: "activate", version, forward_only: true });
  assert.equal(refusal(forward("v2")), "FORBIDDEN");
  assert.equal(refusal(forward("v3")), "ok");
  machine.ok({ type: "activate", version: "v1" });
  assert.equal(refusal(forward("v2")), "ok");
});

test("a rollback goes to the newest earlier activation and holds the project", () => {
  const machine = three();
  const value = machine.ok({ type: "rollback", reason: "errors" });
  assert.deepEqual(value, {
    type: "pointer",
    changed: true,
    generation: 4,
    from: "v3",
    to: "v2",
    cause: "rollback",
  });
  assert.equal(machine.project.hold?.reason, "rollback from v3 to v2: errors");
  assert.deepEqual(machine.eventTypes().slice(-3), [
    "release.activated",
    "release.superseded",
    "project.held",
  ]);
  const next = machine.publish("four");
  assert.equal(next.version, "v4");
  assert.equal(machine.project.current, "v2");
  assert.equal(machine.release(4).not_activated_reason, "held");
});

test("repeated rollbacks go further back and never return to what was rolled back from", () => {
  const machine = three();
  machine.ok({ type: "rollback" });
  assert.deepEqual((machine.ok({ type: "rollback" }) as { to: string }).to, "v1");
  assert.equal(refusal(machine.apply({ type: "rollback" })), "NO_ROLLBACK_TARGET");
  machine.ok({ type: "activate", version: "v3" });
  machine.ok({ type: "activate", version: "v1" });
  const value = machine.ok({ type: "rollback" });
  assert.equal(
    (value as { to: string }).to,
    "v3",
    "it was activated again after it had been rolled back from",
  );
});

test("a rollback skips retired releases, and a named one is refused", () => {
  const machine = three();
  machine.state.put(KEYS.release(AT, 2), { ...machine.release(2), state: "retired" });
  assert.equal(refusal(machine.apply({ type: "rollback", to: "v2" })), "RELEASE_RETIRED");
  assert.equal((machine.ok({ type: "rollback" }) as { to: string }).to, "v1");
});

test("a rollback without anything live or anywhere to go is refused", () => {
  const machine = new Machine();
  machine.publish("one", { activate: false });
  assert.equal(refusal(machine.apply({ type: "rollback" })), "NOTHING_ACTIVE");
  machine.ok({ type: "activate", version: "v1" });
  assert.equal(refusal(machine.apply({ type: "rollback" })), "NO_ROLLBACK_TARGET");
  assert.deepEqual(machine.ok({ type: "rollback", to: "v1" }), {
    type: "pointer",
    changed: false,
    generation: 1,
    from: "v1",
    to: "v1",
    cause: "rollback",
  });
  assert.equal(machine.project.hold, undefined, "nothing was taken away, so nothing is held");
});

test("a rollback checks the generation too", () => {
  assert.equal(refusal(three().apply({ type: "rollback", expected_generation: 2 })), "GENERATION_STALE");
});

test("a held project accepts publishes that stay inactive until it is released, and explicit activations", () => {
  const machine = three();
  assert.deepEqual(machine.ok({ type: "hold", reason: "freeze" }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "hold", reason: "freeze" }), { type: "done", changed: false });
  machine.publish("four");
  assert.equal(machine.project.current, "v3");
  machine.ok({ type: "activate", version: "v4" });
  assert.equal(machine.project.current, "v4");
  assert.deepEqual(machine.ok({ type: "unhold" }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "unhold" }), { type: "done", changed: false });
  machine.publish("five");
  assert.equal(machine.project.current, "v5");
});

test("a hold with an end is over by the log's time, and the next command says so once", () => {
  const machine = three();
  const until = new Date(machine.timeMs + 60_000).toISOString();
  machine.ok({ type: "hold", reason: "lunch", until });
  machine.publish("four");
  assert.equal(machine.release(4).not_activated_reason, "held");
  machine.timeMs += 60_000;
  machine.publish("five");
  assert.equal(machine.project.current, "v5");
  assert.equal(machine.project.hold, undefined);
  assert.equal(machine.eventTypes().filter((type) => type === "project.unheld").length, 1);
});

test("a hold of the org or the farm keeps back every project below, and each level is released for itself", () => {
  const machine = three();
  const hold = { reason: "audit" };
  assert.deepEqual(machine.ok({ type: "org.hold", ...hold }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "org.hold", ...hold }), { type: "done", changed: false });
  machine.ok({ type: "farm.hold", ...hold });
  const events = machine.eventTypes().length;
  machine.publish("four");
  assert.equal(machine.release(4).not_activated_reason, "held");
  assert.ok(!machine.eventTypes().slice(events).includes("project.held"));
  machine.ok({ type: "org.unhold" });
  assert.equal(findHold(machine.state, machine.project, machine.timeMs)?.level, "farm");
  machine.publish("five");
  assert.equal(machine.project.current, "v3");
  machine.ok({ type: "activate", version: "v4" });
  assert.equal(machine.project.current, "v4", "an explicit activation goes on");
  machine.ok({ type: "farm.unhold" });
  assert.deepEqual(machine.ok({ type: "farm.unhold" }), { type: "done", changed: false });
  machine.publish("six");
  assert.equal(machine.project.current, "v6");
  const audited = listAudit(machine.state, ORG).items.filter(({ action }) => action.includes(".hold"));
  assert.deepEqual(
    audited.map(({ action, resource }) => [action, resource]),
    [
      ["farm.hold", "farm"],
      ["org.hold", "acme"],
      ["org.hold", "acme"],
    ],
  );
});

test("a hold of the org ends by the log's time, holds other orgs not, and needs the org", () => {
  const machine = three();
  const until = new Date(machine.timeMs + 60_000).toISOString();
  const other = { org: "other" as Name };
  assert.equal(refusal(machine.apply({ type: "org.hold", reason: "r" }, other)), "NOT_FOUND");
  machine.ok({ type: "org.create" }, other);
  machine.ok({ type: "org.hold", reason: "r" }, other);
  machine.publish("four");
  assert.equal(machine.project.current, "v4");
  machine.ok({ type: "org.hold", reason: "lunch", until });
  machine.publish("five");
  assert.equal(machine.project.current, "v4");
  machine.timeMs += 60_000;
  machine.publish("six");
  assert.equal(machine.project.current, "v6");
  assert.equal(refusal(machine.apply({ type: "org.hold", reason: "r", until })), "USAGE");
});

test("a rollback under a hold of the org still holds the project itself", () => {
  const machine = three();
  machine.ok({ type: "org.hold", reason: "freeze" });
  machine.ok({ type: "rollback" });
  machine.ok({ type: "org.unhold" });
  assert.equal(findHold(machine.state, machine.project, machine.timeMs)?.level, "project");
});

test("what was live at a time is exact to the activation's own millisecond, however many there were", () => {
  const machine = new Machine();
  const first = machine.timeMs;
  for (const content of ["one", "two", "three"]) machine.publish(content);
  for (let i = 0; i < 10; i++) machine.ok({ type: "activate", version: `v${1 + (i % 2)}` });
  const history = listHistory(machine.state, AT).items.toReversed();
  const liveAt = (timeMs: number) => findActivationAt(machine.state, machine.project, timeMs)?.generation;
  assert.equal(liveAt(first), undefined);
  for (const { generation, at } of history) {
    assert.equal(liveAt(Date.parse(at)), generation);
    assert.equal(liveAt(Date.parse(at) - 1), generation === 1 ? undefined : generation - 1);
  }
  assert.equal(liveAt(machine.timeMs + 1e9), history.length);
});

test("of several activations in one millisecond the last was live then, the clock going back or a rollback among them", () => {
  const machine = three();
  const before = machine.project.generation;
  machine.timeMs += 1_000;
  const tieMs = machine.timeMs;
  for (const [n, backMs] of [0, 1, 1, 500].entries()) {
    // What is applied next gets the time behind this one; the log's time never goes back.
    machine.timeMs = tieMs - 1 - backMs * (n === 3 ? 1 : 0);
    machine.ok({ type: "activate", version: `v${1 + (n % 2)}` });
  }
  machine.timeMs = tieMs - 1;
  machine.ok({ type: "rollback", to: "v3" });
  const liveAt = (timeMs: number) => findActivationAt(machine.state, machine.project, timeMs);
  assert.deepEqual([liveAt(tieMs)?.generation, liveAt(tieMs)?.to], [before + 5, "v3"]);
  assert.deepEqual([liveAt(tieMs)?.cause, liveAt(tieMs - 1)?.generation], ["rollback", before]);
  assert.equal(liveAt(tieMs + 1e9)?.to, "v3");
});

test("a hold cannot end in the past", () => {
  const machine = three();
  for (const until of ["2020-01-01T00:00:00Z", "tomorrow"]) {
    assert.equal(refusal(machine.apply({ type: "hold", reason: "r", until })), "USAGE");
  }
});

test("a refused command changes nothing but leaves an audit row with its code", () => {
  const machine = three();
  const before = machine.substance();
  const body = { type: "activate", version: "v7", reason: "why" } as const;
  machine.apply(body, { request_id: "req_1", remote: "192.0.2.1" });
  assert.equal(machine.substance(), before);
  const [row] = listAudit(machine.state, ORG).items;
  assert.deepEqual(row, {
    seq: machine.appliedSeq,
    at: new Date(machine.timeMs).toISOString(),
    org: "acme",
    project: "bot",
    action: "activate",
    resource: "v7",
    actor: { kind: "token", id: "tok_1" },
    ok: false,
    code: "NOT_FOUND",
    reason: "why",
    request_id: "req_1",
    remote: "192.0.2.1",
  });
});

test("an automatic activation is audited beside the command that caused it, under the publisher's name", () => {
  const machine = new Machine();
  machine.ok(acceptOf("one", { publish_id: "pub_1" }), { actor: { kind: "token", id: "tok_ci" } });
  machine.ok({ type: "start", publish_id: "pub_1", attempt: 1, node: "n1" });
  machine.finish("pub_1", "one");
  const rows = listAudit(machine.state, ORG).items.filter((row) => row.seq === machine.appliedSeq);
  assert.deepEqual(
    rows.map((row) => [row.action, row.resource, row.actor.id]),
    [
      ["activate", "v1", "tok_ci"],
      ["ready", "pub_1", "tok_1"],
    ],
  );
});

test("a command id that was seen before has the same result and no second effect", () => {
  const machine = three();
  const command = commandOf({ type: "rollback" }, { id: "cmd_once" });
  const first = machine.applyCommand(command);
  const before = machine.substance();
  assert.deepEqual(machine.applyCommand(command), first);
  assert.equal(machine.substance(), before);
});

test("results of commands are forgotten after 7 days, a few with each later command", () => {
  const machine = three();
  machine.timeMs += LIMITS.idempotencyKeyMs;
  for (let i = 0; i < 6; i++) machine.ok({ type: "unhold" });
  assert.equal(machine.state.get(KEYS.command("cmd_1")), undefined);
  assert.equal(machine.state.get(KEYS.command("cmd_9")), undefined);
  assert.notEqual(machine.state.get(KEYS.command("cmd_10")), undefined);
});

test("time never goes back, whatever the messages say", () => {
  const machine = three();
  const { time_ms } = machine.state.get(KEYS.meta()) ?? { time_ms: 0 };
  applyCommand(machine.state, commandOf({ type: "unhold" }, { id: "cmd_late" }), {
    seq: machine.appliedSeq + 1,
    timeMs: 5,
  });
  assert.equal(machine.state.get(KEYS.meta())?.time_ms, time_ms);
});

test("a gap in the log, an unknown command type and an unknown version halt", () => {
  const machine = three();
  const at = { seq: machine.appliedSeq + 1, timeMs: machine.timeMs };
  const gap = () => applyCommand(machine.state, commandOf({ type: "unhold" }), { ...at, seq: at.seq + 1 });
  assert.throws(gap, { code: "STATE_BEHIND" });
  const unknown = {
    ...commandOf({ type: "unhold" }),
    id: "cmd_u",
    body: { type: "from-the-future" },
  } as unknown as Command;
  assert.throws(() => applyCommand(new Machine().state, unknown, { seq: 1, timeMs: 1 }), {
    code: "STORE_FORMAT",
  });
  const newer = { ...commandOf({ type: "unhold" }), v: 2 } as unknown as Command;
  assert.throws(() => applyCommand(machine.state, newer, at), { code: "STORE_FORMAT" });
});

test("settings that are not named keep their value", () => {
  const machine = three();
  machine.ok({ type: "project.set", settings: { require_commit: true } });
  machine.ok({ type: "project.set", settings: { public_pull: true } });
  assert.deepEqual(machine.project.settings, { require_commit: true, public_pull: true });
  assert.deepEqual(machine.ok({ type: "project.set", settings: { public_pull: true } }), {
    type: "done",
    changed: false,
  });
});

test("tokens are found by the hash alone, once, and stay marked when revoked", () => {
  const machine = new Machine();
  const token = { type: "token.create", token_id: "tok_a", hash: "ab".repeat(32), scopes: ["read"] } as const;
  assert.equal(refusal(machine.apply(token)), "NOT_FOUND");
  assert.deepEqual(machine.ok({ type: "org.create" }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "org.create" }), { type: "done", changed: false });
  assert.deepEqual(machine.ok(token), { type: "done", changed: true });
  assert.deepEqual(machine.ok(token), { type: "done", changed: false });
  assert.equal(refusal(machine.apply({ ...token, hash: "cd".repeat(32) })), "STATE_CONFLICT");
  assert.equal(refusal(machine.apply({ ...token, token_id: "tok_b" })), "STATE_CONFLICT");
  assert.deepEqual(machine.ok({ type: "token.revoke", token_id: "tok_a" }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "token.revoke", token_id: "tok_a" }), { type: "done", changed: false });
  assert.equal(refusal(machine.apply({ type: "token.revoke", token_id: "tok_x" })), "NOT_FOUND");
  assert.notEqual(findTokenByHash(machine.state, token.hash)?.revoked_at, undefined);
});

test("settings of a node are kept one by one, taken back with null, and audited under the actor's org", () => {
  const machine = new Machine();
  const node = "n1" as Name;
  const changed = { type: "done", changed: true };
  assert.equal(findNode(machine.state, node), undefined);
  assert.deepEqual(machine.ok({ type: "node.set", node, threads: 3 }), changed);
  assert.deepEqual(machine.ok({ type: "node.set", node, threads: 3 }), { type: "done", changed: false });
  assert.deepEqual(machine.ok({ type: "node.set", node, cordoned: true }), changed);
  assert.equal(findNode(machine.state, node)?.threads, 3);
  assert.equal(findNode(machine.state, node)?.cordoned, true);
  assert.deepEqual(machine.ok({ type: "node.set", node, threads: null, cordoned: false }), changed);
  assert.equal(findNode(machine.state, node)?.threads, undefined);
  assert.equal(findNode(machine.state, node)?.cordoned, undefined);
  const rows = listAudit(machine.state, ORG).items;
  assert.deepEqual([...new Set(rows.map((row) => `${row.action} ${row.resource}`))], ["node.set node/n1"]);
});
