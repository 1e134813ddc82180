import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command, CommandBody } from "../../../proto/commands.ts";
import type { Retention } from "../../../proto/records.ts";
import { retentionSweep } from "../../../services/pointer/retire-releases.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { findRepositoryDigest, listAudit } from "../../../services/shared/state-queries.ts";
import { MemoryState } from "../../helpers/memory-state.ts";
import { AT, acceptOf, artifactOf, Machine, ORG, readyOf } from "./machine.ts";

const DAY_MS = 24 * 3_600_000;
const refusal = (result: ReturnType<Machine["apply"]>) => (result.ok ? "ok" : result.error.code);

/** v1..vN of as many contents, each live in its turn. */
function releases(count: number): Machine {
  const machine = new Machine();
  for (let i = 1; i <= count; i++) machine.publish(`content ${i}`);
  return machine;
}

function retire(version: string, reason?: string): CommandBody {
  return { type: "retire", version, ...(reason !== undefined && { reason }) };
}

function states(machine: Machine): string[] {
  return [...machine.state.range(RANGES.releases(AT))].map(({ value }) => value.state);
}

function served(machine: Machine, content: string): boolean {
  const { manifest, config, layers } = artifactOf(content);
  const found = [manifest, config, ...layers].map(
    ({ digest }) => findRepositoryDigest(machine.state, AT, digest) !== undefined,
  );
  assert.equal(new Set(found).size, 1, "manifest, config and layers are served together");
  return found[0] === true;
}

/** Lets the sweeper run until it has nothing more to do. @returns what it sent */
async function sweep(machine: Machine): Promise<Command[]> {
  const sent: Command[] = [];
  const step = retentionSweep({
    source: { read: (body) => body(machine.state) },
    append: async (command) => {
      sent.push(command);
      machine.applyCommand(command);
    },
  });
  while ((await step(machine.timeMs)) > 0);
  return sent;
}

function setRetention(machine: Machine, retention: Retention): void {
  machine.ok({ type: "project.set", settings: { retention } });
}

test("a retired release stays in the lists, says who ended it and when, and is an event and an audit row", () => {
  const machine = releases(2);
  assert.deepEqual(machine.ok(retire("v1", "leaked key")), { type: "done", changed: true });
  const release = machine.release(1);
  assert.equal(release.state, "retired");
  assert.equal(release.retired_at, new Date(machine.timeMs).toISOString());
  assert.deepEqual(release.retired_by, { kind: "token", id: "tok_1" });
  const event = machine.events().at(-1);
  assert.deepEqual(
    [event?.type, event?.subject, event?.data["cause"], event?.data["reason"]],
    ["release.retired", "v1", "retire", "leaked key"],
  );
  const [row] = listAudit(machine.state, ORG).items;
  assert.deepEqual([row?.action, row?.resource, row?.ok, row?.reason], ["retire", "v1", true, "leaked key"]);
});

test("what is live is not retired, nor what does not exist; what is retired already stays as it is", () => {
  const machine = releases(2);
  const result = machine.apply(retire("v2"));
  assert.equal(refusal(result), "RELEASE_IN_USE");
  assert.equal(!result.ok && result.error.detail["kept_by"], "it is live");
  assert.equal(refusal(machine.apply(retire("v9"))), "NOT_FOUND");
  assert.equal(refusal(machine.apply(retire("current"))), "NOT_FOUND");
  machine.ok(retire("v1"));
  const before = machine.substance();
  assert.deepEqual(machine.ok(retire("v1")), { type: "done", changed: false });
  assert.equal(machine.substance(), before);
});

test("a retired release cannot go live again, and a rollback without a target passes it by", () => {
  const machine = releases(3);
  machine.ok(retire("v2"));
  assert.equal(refusal(machine.apply({ type: "activate", version: "v2" })), "RELEASE_RETIRED");
  assert.equal(refusal(machine.apply({ type: "rollback", to: "v2" })), "RELEASE_RETIRED");
  assert.equal((machine.ok({ type: "rollback" }) as { to: string }).to, "v1");
});

test("the repository serves what a kept release references, and nothing else", () => {
  const machine = new Machine();
  machine.publish("same");
  machine.publish("other");
  machine.publish("same", { commit: "1".repeat(40) });
  machine.publish("last");
  assert.ok(served(machine, "same"));
  machine.ok(retire("v1"));
  assert.ok(served(machine, "same"), "v3 has the same image");
  machine.ok(retire("v2"));
  assert.ok(!served(machine, "other"));
  machine.ok(retire("v3"));
  assert.ok(!served(machine, "same"));
  assert.ok(served(machine, "last"));
});

test("references are counted right for releases that are made after the first retirement", () => {
  const machine = releases(2);
  machine.ok(retire("v1"));
  machine.publish("twice");
  machine.publish("twice", { commit: "2".repeat(40) });
  machine.publish("last");
  machine.ok(retire("v3"));
  assert.ok(served(machine, "twice"));
  machine.ok(retire("v4"));
  assert.ok(!served(machine, "twice"));
});

test("what a living preview shows is served, whatever becomes of the release with the same image", () => {
  const machine = releases(2);
  const preview = { channel: "preview/pr-1", activate: false } as const;
  machine.publish("content 1", { ...preview, commit: "3".repeat(40) });
  machine.ok(retire("v1"));
  assert.ok(served(machine, "content 1"));
  machine.ok({ type: "preview.remove", name: "pr-1" as typeof ORG });
  assert.ok(!served(machine, "content 1"));
});

test("the content of a retired release that is published again becomes a new release, which can go live", () => {
  const machine = releases(2);
  machine.ok(retire("v1"));
  assert.deepEqual(machine.ok(acceptOf("content 1", { publish_id: "pub_again" })), {
    type: "accepted",
    publish_id: "pub_again",
    outcome: "new",
  });
  machine.ok({ type: "start", publish_id: "pub_again", attempt: 1, node: "n1" });
  machine.ok(readyOf("pub_again", "content 1"));
  assert.equal(machine.publishRecord("pub_again").version, "v3");
  assert.equal(machine.project.current, "v3");
  assert.ok(served(machine, "content 1"));
  assert.equal(machine.release(1).state, "retired");
});

test("without a setting nothing is ever retired by itself", async () => {
  const machine = releases(5);
  machine.timeMs += 1_000 * DAY_MS;
  assert.deepEqual(await sweep(machine), []);
  setRetention(machine, { keep_last: 1 });
  setRetention(machine, {});
  assert.deepEqual(await sweep(machine), [], "an empty setting keeps everything too");
});

test("retention keeps the last N and where a rollback would go", async () => {
  const machine = releases(6);
  setRetention(machine, { keep_last: 2 });
  const sent = await sweep(machine);
  assert.deepEqual(
    sent.map(({ body }) => "version" in body && body.version),
    ["v1", "v2", "v3", "v4"],
  );
  assert.deepEqual(states(machine), ["retired", "retired", "retired", "retired", "superseded", "active"]);
  machine.ok({ type: "activate", version: "v5" });
  machine.publish("seven", { activate: false });
  machine.publish("eight", { activate: false });
  assert.deepEqual(await sweep(machine), [], "v5 is live, and a rollback would go to v6");
});

test("retention keeps what was made or live within its time", async () => {
  const machine = new Machine();
  machine.publish("one");
  machine.timeMs += 40 * DAY_MS;
  machine.publish("two");
  machine.publish("three");
  machine.publish("four");
  setRetention(machine, { keep_for: "30d" });
  assert.deepEqual(await sweep(machine), [], "v1 was live until a moment ago");
  machine.timeMs += 29 * DAY_MS;
  assert.deepEqual(await sweep(machine), []);
  machine.timeMs += 2 * DAY_MS;
  await sweep(machine);
  assert.deepEqual(states(machine), ["retired", "retired", "superseded", "active"]);
});

test("a release goes only when neither the number nor the time keeps it", async () => {
  const machine = releases(4);
  setRetention(machine, { keep_last: 2, keep_for: "1d" });
  assert.deepEqual(await sweep(machine), []);
  machine.timeMs += 2 * DAY_MS;
  await sweep(machine);
  assert.deepEqual(states(machine), ["retired", "retired", "superseded", "active"]);
});

test("while a project is held, retention retires nothing: somebody is deciding what to go back to", async () => {
  const machine = releases(5);
  setRetention(machine, { keep_last: 1 });
  machine.ok({ type: "hold", reason: "freeze" });
  assert.deepEqual(await sweep(machine), []);
  machine.ok({ type: "unhold" });
  assert.equal((await sweep(machine)).length, 3);
});

test("what became needed after the sweeper looked is kept, and the command's row says that it had no effect", () => {
  const machine = releases(4);
  setRetention(machine, { keep_last: 1 });
  machine.ok({ type: "activate", version: "v1" });
  const before = machine.substance();
  const sent = machine.ok({ type: "retire", version: "v1", automatic: true });
  assert.deepEqual(sent, { type: "done", changed: false });
  setRetention(machine, { keep_last: 10 });
  assert.deepEqual(machine.ok({ type: "retire", version: "v2", automatic: true }), {
    type: "done",
    changed: false,
  });
  assert.equal(listAudit(machine.state, ORG).items[0]?.code, "STATE_CONFLICT");
  setRetention(machine, { keep_last: 1 });
  assert.equal(machine.substance(), before);
});

test("a person may retire what the rule would keep", () => {
  const machine = releases(3);
  setRetention(machine, { keep_last: 3 });
  assert.deepEqual(machine.ok(retire("v1")), { type: "done", changed: true });
});

test("a log with retirements replays to the same state, also from its middle", async () => {
  const machine = releases(4);
  setRetention(machine, { keep_last: 1 });
  await sweep(machine);
  machine.publish("five");
  machine.ok(retire("v3"));
  const { log } = machine;
  const replayed = new Machine();
  for (const { command, timeMs } of log) {
    replayed.timeMs = timeMs - 1;
    replayed.applyCommand(command);
  }
  assert.equal(replayed.digest, machine.digest);
  assert.equal(stateDigest(MemoryState.from(machine.state.rows()).rows()), machine.digest);
  assert.equal(machine.state.get(KEYS.retention(AT))?.project, AT.project);
});

test("a project beyond its quota takes no publish until releases are retired, and counts what it had before", () => {
  const machine = releases(2);
  machine.publish("shown", { channel: "preview/pr-1", activate: false });
  machine.ok({ type: "project.set", settings: { quota_bytes: 30 } });
  assert.equal(machine.project.kept_bytes, 30, "two releases and a preview of 10 bytes");
  const result = machine.apply(acceptOf("more"));
  assert.equal(refusal(result), "QUOTA_EXCEEDED");
  assert.deepEqual(!result.ok && result.error.detail, { actual: 30, limit: 30 });
  assert.equal((machine.ok(acceptOf("content 1")) as { outcome: string }).outcome, "existing");
  machine.ok({ type: "preview.remove", name: "pr-1" as typeof ORG });
  machine.publish("three");
  assert.equal(machine.project.kept_bytes, 30);
  machine.ok(retire("v1"));
  assert.equal(machine.project.kept_bytes, 20);
  machine.publish("four");
  assert.equal(refusal(machine.apply(acceptOf("five"))), "QUOTA_EXCEEDED");
  machine.ok({ type: "project.set", settings: { quota_bytes: null } });
  machine.publish("five");
  assert.equal(machine.project.kept_bytes, 40, "it goes on counting, for the next quota");
});
