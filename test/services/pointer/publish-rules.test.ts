import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandBody } from "../../../proto/commands.ts";
import { digestOf } from "../../../proto/digest.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { SealedLog } from "../../../proto/publish-log.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { listAudit } from "../../../services/shared/state-queries.ts";
import { AT, acceptOf, Machine, ORG, readyOf } from "./machine.ts";

const refusal = (result: ReturnType<Machine["apply"]>) => (result.ok ? "ok" : result.error.code);
const failed = (publishId: string, attempt = 1) =>
  ({
    type: "fail",
    publish_id: publishId,
    attempt,
    node: "n1",
    error: { code: "ARCHIVE_EMPTY", message: "", detail: {} },
  }) as const;

test("a first publish creates org and project, gets the first version and goes live", () => {
  const machine = new Machine();
  const record = machine.publish("one");
  assert.equal(record.state, "ready");
  assert.equal(record.version, "v1");
  assert.equal(record.order, 1);
  assert.equal(machine.project.current, "v1");
  assert.equal(machine.project.generation, 1);
  assert.equal(machine.release(1).state, "active");
  assert.deepEqual(machine.eventTypes(), [
    "project.created",
    "publish.accepted",
    "publish.started",
    "release.ready",
    "release.activated",
  ]);
});

test("without leave to create, a publish into an unknown org or project is not found and creates nothing", () => {
  const machine = new Machine();
  assert.equal(refusal(machine.apply(acceptOf("a", { create: { org: false, project: true } }))), "NOT_FOUND");
  machine.ok({ type: "org.create" });
  const before = machine.substance();
  assert.equal(refusal(machine.apply(acceptOf("a", { create: { org: true, project: false } }))), "NOT_FOUND");
  assert.equal(machine.substance(), before);
});

test("the next publish goes live and supersedes the one before, with both changes in one command", () => {
  const machine = new Machine();
  machine.publish("one");
  machine.publish("two");
  assert.equal(machine.project.current, "v2");
  assert.equal(machine.release(1).state, "superseded");
  assert.equal(machine.release(2).generation, 2);
  const last = machine.events().slice(-3);
  assert.deepEqual(
    last.map((event) => event.type),
    ["release.ready", "release.activated", "release.superseded"],
  );
  assert.equal(new Set(last.map((event) => event.seq)).size, 1);
});

test("an older publish that finishes late gets its version and never goes live", () => {
  const machine = new Machine();
  const older = machine.begin("old");
  const newer = machine.begin("new");
  machine.finish(newer, "new");
  machine.finish(older, "old");
  assert.equal(machine.project.current, "v1");
  assert.equal(machine.publishRecord(older).version, "v2");
  assert.equal(machine.release(2).not_activated_reason, "older");
  machine.ok({ type: "activate", version: "v2" });
  assert.equal(machine.project.current, "v2", "an explicit activation always may");
  assert.equal(machine.release(2).not_activated_reason, undefined);
});

test("what is older than an explicitly activated release does not go live by itself, what is newer does", () => {
  const machine = new Machine();
  const older = machine.begin("older");
  machine.publish("chosen", { activate: false });
  const newer = machine.begin("newer");
  machine.ok({ type: "activate", version: "v1" });
  machine.finish(older, "older");
  assert.equal(machine.release(2).not_activated_reason, "older");
  machine.finish(newer, "newer");
  assert.equal(machine.project.current, "v3");
});

test("a publish that was told not to activate is ready and says so", () => {
  const machine = new Machine();
  machine.publish("one", { activate: false });
  assert.equal(machine.project.current, null);
  assert.equal(machine.release(1).not_activated_reason, "not_requested");
});

test("a failed or cancelled publish burns no version number", () => {
  const machine = new Machine();
  machine.ok(failed(machine.begin("bad")));
  machine.ok({ type: "cancel", publish_id: machine.begin("stopped"), reason: "typo" });
  assert.equal(machine.publish("good").version, "v1");
});

test("the same content in flight is joined, and once released it is answered without moving the pointer", () => {
  const machine = new Machine();
  const first = machine.begin("same");
  const joined = machine.ok(acceptOf("same", { publish_id: "pub_x" }));
  assert.deepEqual(joined, { type: "accepted", publish_id: first, outcome: "joined" });
  machine.finish(first, "same");
  machine.publish("other");
  const existing = machine.ok(acceptOf("same", { publish_id: "pub_y" }));
  assert.deepEqual(existing, { type: "accepted", publish_id: first, outcome: "existing" });
  assert.equal(machine.project.current, "v2");
});

test("without an upload only a publish that has the content answers, and nothing is begun", () => {
  const machine = new Machine();
  const known = (content: string) => acceptOf(content, { publish_id: "pub_x", known_only: true });
  assert.equal(refusal(machine.apply(known("same"))), "STATE_CONFLICT");
  const first = machine.begin("same");
  assert.deepEqual(machine.ok(known("same")), { type: "accepted", publish_id: first, outcome: "joined" });
  machine.finish(first, "same");
  assert.deepEqual(machine.ok(known("same")), { type: "accepted", publish_id: first, outcome: "existing" });
  const before = machine.substance();
  assert.equal(refusal(machine.apply(known("other"))), "STATE_CONFLICT");
  assert.equal(machine.substance(), before);
});

test("another commit, another strip or force_new make the same archive a publish of its own", () => {
  const machine = new Machine();
  machine.begin("same");
  for (const options of [{ commit: "ffffffff" }, { commit: null }, { strip: 1 }, { force_new: true }]) {
    const publish_id = `pub_${JSON.stringify(options)}`;
    const value = machine.ok(acceptOf("same", { publish_id, ...options }));
    assert.deepEqual(value, { type: "accepted", publish_id, outcome: "new" });
  }
});

test("a failed publish is never returned for the same content", () => {
  const machine = new Machine();
  machine.ok(failed(machine.begin("same")));
  const value = machine.ok(acceptOf("same", { publish_id: "pub_again" }));
  assert.deepEqual(value, { type: "accepted", publish_id: "pub_again", outcome: "new" });
});

test("the same image for the same commit ends as the existing release, under force_new as a new one", () => {
  const machine = new Machine();
  machine.publish("first bytes");
  machine.publish("second");
  const repacked = machine.begin("repacked");
  machine.finish(repacked, "first bytes");
  assert.equal(machine.publishRecord(repacked).version, "v1");
  assert.equal(machine.publishRecord(repacked).existing, true);
  assert.equal(machine.project.current, "v2");
  assert.equal(machine.eventTypes().at(-1), "publish.existing");
  const forced = machine.begin("forced", { force_new: true });
  machine.finish(forced, "first bytes");
  assert.equal(machine.publishRecord(forced).version, "v3");
});

test("an idempotency key answers with its publish, refuses other content, and is free again after 7 days", () => {
  const machine = new Machine();
  const key = { idempotency_key: "ci-17 \u00e9" };
  const first = machine.begin("same", key);
  const again = machine.ok(acceptOf("same", { publish_id: "pub_b", ...key }));
  assert.deepEqual(again, { type: "accepted", publish_id: first, outcome: "joined" });
  assert.equal(
    refusal(machine.apply(acceptOf("other", { publish_id: "pub_c", ...key }))),
    "IDEMPOTENCY_KEY_REUSED",
  );
  machine.finish(first, "same");
  const ready = machine.ok(acceptOf("same", { publish_id: "pub_d", force_new: true, ...key }));
  assert.deepEqual(ready, { type: "accepted", publish_id: first, outcome: "existing" });
  machine.timeMs += LIMITS.idempotencyKeyMs;
  const later = machine.ok(acceptOf("other", { publish_id: "pub_e", ...key }));
  assert.deepEqual(later, { type: "accepted", publish_id: "pub_e", outcome: "new" });
  machine.ok({ type: "unhold" });
  assert.equal(machine.state.get(KEYS.idempotency(AT, key.idempotency_key))?.publish_id, "pub_e");
});

test("a new idempotency key answers with an identical publish and stands for its content from then on", () => {
  const machine = new Machine();
  const first = machine.begin("same");
  machine.finish(first, "same");
  const answer = machine.ok(acceptOf("same", { publish_id: "pub_b", idempotency_key: "fresh" }));
  assert.deepEqual(answer, { type: "accepted", publish_id: first, outcome: "existing" });
  const other = machine.apply(acceptOf("other", { publish_id: "pub_c", idempotency_key: "fresh" }));
  assert.equal(refusal(other), "IDEMPOTENCY_KEY_REUSED");
});

test("an idempotency key whose publish failed is bound to the next publish", () => {
  const machine = new Machine();
  const key = { idempotency_key: "k" };
  machine.ok(failed(machine.begin("same", key)));
  machine.ok(acceptOf("same", { publish_id: "pub_2", ...key }));
  const value = machine.ok(acceptOf("same", { publish_id: "pub_3", ...key }));
  assert.deepEqual(value, { type: "accepted", publish_id: "pub_2", outcome: "joined" });
});

test("a project that requires commits refuses a publish without one", () => {
  const machine = new Machine();
  machine.publish("one");
  machine.ok({ type: "project.set", settings: { require_commit: true } });
  assert.equal(refusal(machine.apply(acceptOf("two", { commit: null }))), "COMMIT_REQUIRED");
});

test("an org with too many unfinished publishes is refused more, and may go on when one has ended", () => {
  const machine = new Machine();
  machine.ok(acceptOf("0", { publish_id: "pub_0" }));
  machine.state.put(KEYS.backlog(ORG), LIMITS.queuedPublishesPerOrg);
  assert.equal(refusal(machine.apply(acceptOf("next"))), "RATE_LIMITED");
  machine.ok({ type: "cancel", publish_id: "pub_0" });
  assert.equal(refusal(machine.apply(acceptOf("next"))), "ok");
});

test("only the current attempt ends a publish, once; what comes later is recorded and ignored", () => {
  const machine = new Machine();
  const publishId = machine.begin("one");
  machine.ok({ type: "start", publish_id: publishId, attempt: 2, node: "n2" });
  const ended = (applied: boolean) => ({ type: "ended", publish_id: publishId, applied });
  assert.deepEqual(machine.ok(readyOf(publishId, "one", 1)), ended(false));
  assert.deepEqual(machine.ok(failed(publishId, 1)), ended(false));
  assert.deepEqual(machine.ok(readyOf(publishId, "one", 2)), ended(true));
  assert.deepEqual(machine.ok(readyOf(publishId, "one", 2)), ended(false));
  assert.equal(machine.project.last_version, 1);
  const [last] = listAudit(machine.state, ORG).items;
  assert.equal(last?.ok, false);
  assert.equal(last?.code, "STATE_CONFLICT");
});

test("ready before start is ignored, and a repeated start of one attempt is refused", () => {
  const machine = new Machine();
  machine.ok(acceptOf("one", { publish_id: "pub_1" }));
  assert.deepEqual(machine.ok(readyOf("pub_1", "one", 0)), {
    type: "ended",
    publish_id: "pub_1",
    applied: false,
  });
  machine.ok({ type: "start", publish_id: "pub_1", attempt: 1, node: "n1" });
  assert.equal(
    refusal(machine.apply({ type: "start", publish_id: "pub_1", attempt: 1, node: "n2" })),
    "STATE_CONFLICT",
  );
  assert.equal(machine.eventTypes().filter((type) => type === "publish.started").length, 1);
});

test("a publish can be failed by a node that never started it", () => {
  const machine = new Machine();
  machine.ok(acceptOf("one", { publish_id: "pub_1" }));
  machine.ok(failed("pub_1", 6));
  assert.equal(machine.publishRecord("pub_1").state, "failed");
});

test("cancelling what has ended is refused with the state it ended in", () => {
  const machine = new Machine();
  const { publish_id } = machine.publish("one");
  const result = machine.apply({ type: "cancel", publish_id });
  assert.equal(refusal(result), "STATE_CONFLICT");
  assert.equal(!result.ok && result.error.detail["state"], "ready");
});

test("another org's publish does not exist", () => {
  const machine = new Machine();
  const publish_id = machine.begin("one");
  const result = machine.apply({ type: "cancel", publish_id }, { org: "rival" as typeof ORG });
  assert.equal(refusal(result), "NOT_FOUND");
});

test("the work of an org lists exactly its unfinished publishes", () => {
  const machine = new Machine();
  const kept = machine.begin("one");
  machine.publish("two");
  machine.ok({ type: "cancel", publish_id: machine.begin("three") });
  const work = [...machine.state.range(RANGES.work("prod"))].map((row) => row.value.publish_id);
  assert.deepEqual(work, [kept]);
  assert.equal(machine.state.get(KEYS.backlog(ORG)), 1);
});

test("a release makes its manifest, config and layers part of the repository", () => {
  const machine = new Machine();
  machine.publish("one");
  const release = machine.release(1);
  const kinds = [release.manifest, release.config, ...release.layers].map(
    (part) => machine.state.get(KEYS.repositoryDigest(AT, part.digest))?.kind,
  );
  assert.deepEqual(kinds, ["manifest", "config", "layer"]);
});

test("the log of a publish that ended, either way, is found for 30 days; of one whose end was ignored it is not", () => {
  const machine = new Machine();
  const logOf = (content: string): SealedLog => ({ digest: digestOf(`log of ${content}`), size: 10 });
  const good = machine.begin("good");
  machine.ok({ ...readyOf(good, "good"), log: logOf("good") } as CommandBody);
  const bad = machine.begin("bad");
  const error = { code: "ARCHIVE_EMPTY", message: "nothing in it", detail: {} } as const;
  machine.ok({ type: "fail", publish_id: bad, attempt: 1, node: "n1", error, log: logOf("bad") });
  const late = { type: "fail", publish_id: good, attempt: 1, node: "n1", error, log: logOf("late") } as const;
  machine.ok(late);
  assert.deepEqual(machine.state.get(KEYS.publishLog(good)), { ...AT, publish_id: good, ...logOf("good") });
  assert.deepEqual(machine.state.get(KEYS.publishLog(bad)), { ...AT, publish_id: bad, ...logOf("bad") });
  machine.timeMs += LIMITS.logKeepMs - 100;
  machine.ok({ type: "unhold" });
  assert.ok(machine.state.get(KEYS.publishLog(good)) !== undefined);
  machine.timeMs += 100;
  machine.ok({ type: "unhold" });
  assert.deepEqual([...machine.state.range(RANGES.publishLogs())], []);
});

test("a repeated request whose publish was overtaken is not the newest: its key still stands for it", () => {
  const machine = new Machine();
  machine.publish("first");
  machine.ok({ type: "project.set", settings: { overtake: true } });
  const old = acceptOf("old", { publish_id: "pub_old", idempotency_key: "job 1", keeps_overtaken: true });
  machine.ok(old);
  machine.ok(acceptOf("new", { publish_id: "pub_new", commit: "feedc0ffee", idempotency_key: "job 2" }));
  assert.equal(machine.publishRecord("pub_old").state, "overtaken");
  const again = machine.ok({ ...old, publish_id: "pub_again" });
  assert.deepEqual(again, { type: "accepted", publish_id: "pub_old", outcome: "joined" });
  assert.equal(machine.publishRecord("pub_new").state, "queued");
  const { keeps_overtaken: _keeps, ...asBefore } = old;
  assert.equal(
    (machine.ok({ ...asBefore, publish_id: "pub_as_before" }) as { outcome: string }).outcome,
    "new",
    "old logs replay as they did",
  );
});

test("the log of a publish that was cancelled is kept once, from its last attempt, and only after its end", () => {
  const machine = new Machine();
  const publish_id = machine.begin("app");
  const log = (attempt: number, text: string) =>
    machine.ok({ type: "log", publish_id, attempt, log: { digest: digestOf(text), size: 1 } });
  const kept = () => machine.state.get(KEYS.publishLog(publish_id))?.digest;
  assert.deepEqual(log(1, "early"), { type: "done", changed: false });
  machine.ok({ type: "cancel", publish_id });
  log(0, "older attempt");
  assert.equal(kept(), undefined);
  assert.deepEqual(log(1, "the log"), { type: "done", changed: true });
  assert.deepEqual(log(1, "again"), { type: "done", changed: false });
  assert.equal(kept(), digestOf("the log"));
  const audited = listAudit(machine.state, ORG).items.map(({ action }) => action);
  assert.ok(!audited.includes("log"), "where a log lies is nobody's decision");
});
