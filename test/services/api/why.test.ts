import assert from "node:assert/strict";
import { test } from "node:test";
import type { WhyReasonJson } from "../../../proto/http-why.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import { type FarmNow, whyPublish } from "../../../services/api/why-publish.ts";
import { type Why, whyRelease } from "../../../services/api/why-release.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import { AT, acceptOf, Machine, readyOf } from "../pointer/machine.ts";

const IDLE: FarmNow["nodes"] = [{ state: "ready", threads: 2, jobs: 0 }];

function ofPublish(machine: Machine, id: string, farm: Partial<FarmNow> = {}): Why {
  const now = { nowMs: machine.timeMs, problems: [], nodes: IDLE, ...farm };
  return whyPublish(machine.state, machine.publishRecord(id), now);
}

function ofRelease(machine: Machine, version: number, nowMs = machine.timeMs): Why {
  return whyRelease(machine.state, { release: machine.release(version), project: machine.project, nowMs });
}

function codes({ reasons }: Why): string[] {
  return reasons.map(({ code }) => code);
}

function first({ reasons }: Why): WhyReasonJson {
  const [reason] = reasons;
  assert.ok(reason !== undefined);
  return reason;
}

function accept(machine: Machine, content: string, org?: Name): string {
  machine.ok(acceptOf(content), org === undefined ? {} : { org });
  return `pub_${content}`;
}

test("a publish that waits names what of its own org is before it, never another org's", () => {
  const machine = new Machine();
  for (const content of ["a", "b", "c"]) accept(machine, content, "other" as Name);
  accept(machine, "one");
  accept(machine, "two");
  const id = accept(machine, "three");
  const behind = ofPublish(machine, id);
  assert.deepEqual(codes(behind), ["behind_own"]);
  assert.deepEqual(first(behind).detail, { waiting: 2, more: false });
  assert.deepEqual(codes(ofPublish(machine, "pub_one")), ["on_its_way"]);
  assert.equal(behind.next, `granary wait ${id}`);
  const busy = ofPublish(machine, "pub_one", {
    nodes: [{ state: "ready", threads: 2, jobs: 2 * LIMITS.jobsPerThread }],
  });
  assert.deepEqual(codes(busy), ["farm_busy"]);
  assert.doesNotMatch(JSON.stringify([behind, busy]), /other|pub_[abc]"/);
});

test("a publish that waits says that its org has as many running as it may, that no node works, that the farm is unwell", () => {
  const machine = new Machine();
  for (let n = 0; n < LIMITS.orgJobsAtOnce; n++) machine.begin(`r${n}`);
  accept(machine, "late");
  const limit = LIMITS.orgJobsAtOnce;
  assert.deepEqual(first(ofPublish(machine, "pub_late")), {
    code: "org_at_limit",
    text: `${limit} publishes of acme run, and no more than ${limit} of one org do at once`,
    detail: { running: limit, limit },
  });
  const why = ofPublish(machine, "pub_late", {
    problems: ["nats-server is restarting"],
    nodes: [{ state: "draining", threads: 2, jobs: 8 }],
  });
  assert.deepEqual(codes(why), ["farm_unwell", "nodes_cordoned", "org_at_limit"]);
});

test("behind more publishes than are looked at, the position is said to be more than that", () => {
  const machine = new Machine();
  for (let n = 0; n < LIMITS.pageItems; n++) accept(machine, `w${n}`);
  const id = accept(machine, "last");
  assert.deepEqual(first(ofPublish(machine, id)).detail, { waiting: LIMITS.pageItems, more: true });
});

test("a publish that runs says where, since when, and whether it was begun anew", () => {
  const machine = new Machine();
  const id = machine.begin("one");
  const { text, detail } = first(ofPublish(machine, id));
  assert.match(text, /^n1 works on it since 2026-01-01T00:00:00Z: ingesting, attempt 1$/);
  assert.equal(detail["since"], machine.publishRecord(id).started_at);
  machine.ok({ type: "start", publish_id: id, attempt: 2, node: "n2" });
  assert.deepEqual(codes(ofPublish(machine, id)), ["running", "run_again"]);
  const full = ofPublish(machine, id, { failure: "STORE_FULL: no room" }).reasons[1];
  assert.match(
    full?.text ?? "",
    /^the last attempt ended with STORE_FULL: no room\. It is tried again.* Free space/,
  );
});

test("a publish that failed, was overtaken or cancelled says why, by whom, and the next command", () => {
  const machine = new Machine();
  const failed = machine.begin("bad");
  const error = { code: "ARCHIVE_BAD_HEADER", message: "byte 512 is no header", detail: {} } as const;
  machine.ok({ type: "fail", publish_id: failed, attempt: 1, node: "n1", error });
  const why = ofPublish(machine, failed);
  assert.match(first(why).text, /^ARCHIVE_BAD_HEADER: byte 512 is no header\. ./);
  assert.equal(why.next, "granary explain ARCHIVE_BAD_HEADER");

  machine.ok({ type: "project.set", settings: { overtake: true } });
  accept(machine, "old");
  accept(machine, "new");
  assert.deepEqual(first(ofPublish(machine, "pub_old")).detail, { overtaken_by: "pub_new" });

  const actor = { kind: "token", id: "tok_9" } as const;
  machine.ok({ type: "start", publish_id: "pub_new", attempt: 1, node: "n1" });
  // Others of the same time, before and behind it, are not taken for it.
  for (let n = 0; n < 5; n++) machine.begin(`before ${n}`);
  machine.ok({ type: "cancel", publish_id: "pub_new", reason: "wrong branch" }, { actor });
  for (let n = 0; n < 5; n++) machine.begin(`behind ${n}`);
  const { text, detail } = first(ofPublish(machine, "pub_new"));
  assert.match(text, /^token:tok_9 cancelled it at 2026-01-01T00:00:00Z: wrong branch$/);
  assert.deepEqual(detail, {
    by: "token:tok_9",
    at: machine.publishRecord("pub_new").ended_at,
    reason: "wrong branch",
  });
});

test("a publish that came to an existing release says which, and why it is the same", () => {
  const machine = new Machine();
  machine.publish("one");
  const again = machine.begin("sent differently");
  machine.finish(again, "one");
  const why = ofPublish(machine, again);
  assert.deepEqual(codes(why).slice(0, 2), ["same_image", "live"]);
  assert.equal(first(why).detail["version"], "v1");
  assert.equal(first(why).detail["commit"], machine.release(1).commit);
});

test("a release that is live says since when, by whom and why; one that was live, what took its place", () => {
  const machine = new Machine();
  for (const content of ["one", "two"]) machine.publish(content);
  const live = ofRelease(machine, 2);
  assert.deepEqual(codes(live), ["live"]);
  assert.match(first(live).text, /generation 2: publish by token:tok_1$/);
  const superseded = ofRelease(machine, 1);
  assert.deepEqual(codes(superseded), ["superseded", "no_retention"]);
  assert.equal(first(superseded).detail["by"], "v2");
  assert.equal(superseded.next, "granary activate acme/bot@v1");

  machine.ok({ type: "rollback", reason: "bad login" });
  const back = ofRelease(machine, 2);
  assert.deepEqual(codes(back), ["rolled_back", "no_retention"]);
  assert.match(first(back).text, /^it was rolled back to v1: .*: rollback by token:tok_1, bad login$/);
  assert.deepEqual(codes(ofRelease(machine, 1)), ["live", "held"]);
});

test("a release that a hold keeps back names the hold's level, author, end and the command that releases it", () => {
  const machine = new Machine();
  machine.publish("one");
  const until = new Date(machine.timeMs + 3_600_000).toISOString();
  const body = { reason: "freeze", until } as const;
  for (const [type, release] of [
    ["hold", "granary unhold acme/bot"],
    ["org.hold", "granary unhold acme"],
    ["farm.hold", "granary unhold --all"],
  ] as const) {
    machine.ok({ type, ...body });
    const { version } = machine.publish(`under ${type}`);
    const why = ofRelease(machine, Number(version?.slice(1)));
    const { code, text, detail } = first(why);
    assert.equal(code, "held");
    assert.equal(detail["release"], release);
    assert.equal(detail["until"], until);
    assert.ok(text.includes("freeze") && text.includes("token:tok_1") && text.includes(release), text);
    machine.ok({ type: type === "hold" ? "unhold" : type === "org.hold" ? "org.unhold" : "farm.unhold" });
    assert.equal(first(ofRelease(machine, Number(version?.slice(1)))).code, "hold_over");
  }
});

test("a release that is older than what was live, or was not to go live, says so with both orders", () => {
  const machine = new Machine();
  const early = machine.begin("early");
  machine.publish("late");
  machine.finish(early, "early");
  const older = first(ofRelease(machine, 2));
  assert.equal(older.code, "older");
  assert.deepEqual(older.detail, {
    order: machine.publishRecord(early).order,
    newest_live_order: machine.release(1).order,
    live: "v1",
    live_order: machine.release(1).order,
  });
  machine.publish("quiet", { activate: false });
  assert.equal(first(ofRelease(machine, 3)).code, "not_requested");
});

test("why a release is kept: sessions, retention, a hold, or nothing any more; who retired it", () => {
  const machine = new Machine();
  for (const content of ["one", "two", "three", "four"]) machine.publish(content);
  machine.ok({ type: "project.set", settings: { retention: { keep_last: 1 } } });
  assert.equal(codes(ofRelease(machine, 3))[1], "retention_keeps", "a rollback would go there");
  assert.equal(codes(ofRelease(machine, 1))[1], "retention_ends");
  machine.ok({ type: "hold", reason: "looking" });
  assert.equal(codes(ofRelease(machine, 1))[1], "retention_paused");
  machine.state.put(KEYS.sessionPins(AT, 1), 2);
  const [, kept] = ofRelease(machine, 1).reasons;
  assert.deepEqual(kept?.detail, { kept_by: "2 sessions run it" });
  machine.ok({ type: "retire", version: "v2" });
  assert.match(first(ofRelease(machine, 2)).text, /^token:tok_1 retired it at .* somebody asked for it/);
});

test("a preview's publish says how long it lives, and that a newer one has taken its place", () => {
  const machine = new Machine();
  const make = (content: string): string => {
    const id = machine.begin(content, { channel: "preview/pr-1" });
    machine.ok(readyOf(id, content));
    return id;
  };
  const one = make("one");
  const lives = ofPublish(machine, one);
  assert.deepEqual(codes(lives), ["preview_lives"]);
  assert.equal(lives.next, "granary preview promote acme/bot pr-1");
  const two = make("two");
  assert.equal(ofPublish(machine, one).next, `granary why ${two}`);
  machine.ok({ type: "preview.remove", name: "pr-1" as Name });
  assert.match(first(ofPublish(machine, two)).text, /has ended$/);
});
