import assert from "node:assert/strict";
import { test } from "node:test";
import type { AcceptCommand, Command, CommandBody } from "../../../proto/commands.ts";
import { digestOf } from "../../../proto/digest.ts";
import type { Name } from "../../../proto/names.ts";
import type { PreviewRecord } from "../../../proto/records.ts";
import { expirePreviews } from "../../../services/pointer/expire-previews.ts";
import type { StateView } from "../../../services/shared/state-db-tx.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import {
  findPreview,
  findRepositoryDigest,
  listAudit,
  listDuePreviews,
  listPreviews,
} from "../../../services/shared/state-queries.ts";
import { AT, acceptOf, artifactOf, Machine, must, ORG, readyOf } from "./machine.ts";

const HOUR_MS = 3_600_000;
const PR = "pr-1" as Name;
const TO_PREVIEW = { channel: "preview/pr-1", activate: false } as const;

const refusal = (result: ReturnType<Machine["apply"]>) => (result.ok ? "ok" : result.error.code);

function publish(machine: Machine, content: string, options: Partial<AcceptCommand> = {}) {
  return machine.publish(content, { ...TO_PREVIEW, ...options });
}

function preview(machine: Machine): PreviewRecord {
  return must(findPreview(machine.state, AT, PR), "preview");
}

function endsIn(machine: Machine): number {
  return Date.parse(preview(machine).expires_at ?? "") - machine.timeMs;
}

/** What the sweeper would send now. */
function expire(machine: Machine): CommandBody {
  return { type: "preview.expire", name: PR, expires_at: preview(machine).expires_at ?? "" };
}

function served(machine: Machine, content: string): boolean {
  return findRepositoryDigest(machine.state, AT, artifactOf(content).image_digest) !== undefined;
}

test("a preview's publish sets the preview, has no version, and leaves the pointer alone", () => {
  const machine = new Machine();
  const record = publish(machine, "one");
  assert.deepEqual([record.state, record.version], ["ready", undefined]);
  assert.equal(record.image_digest, artifactOf("one").image_digest);
  assert.deepEqual([machine.project.current, machine.project.last_version], [null, 0]);
  assert.equal(preview(machine).publish_id, record.publish_id);
  assert.equal(endsIn(machine), 72 * HOUR_MS);
  assert.deepEqual(machine.eventTypes(), [
    "project.created",
    "publish.accepted",
    "publish.started",
    "preview.created",
  ]);
});

test("its time to live is the one asked for, else its own, else the project's, and slides with every publish", () => {
  const machine = new Machine();
  machine.publish("first");
  machine.ok({ type: "project.set", settings: { default_ttl: "2h" } });
  publish(machine, "one");
  assert.equal(endsIn(machine), 2 * HOUR_MS);
  publish(machine, "two", { preview_ttl_ms: 5 * HOUR_MS });
  machine.timeMs += HOUR_MS;
  assert.equal(endsIn(machine), 4 * HOUR_MS);
  publish(machine, "three");
  assert.equal(endsIn(machine), 5 * HOUR_MS);
  assert.equal(listDuePreviews(machine.state, machine.timeMs + 5 * HOUR_MS - 1, 9).length, 0);
  assert.equal(listDuePreviews(machine.state, machine.timeMs + 5 * HOUR_MS, 9).length, 1);
});

test("a living preview gets a full time to live as soon as a publish to it is accepted, and by the same content again", () => {
  const machine = new Machine();
  const { publish_id } = publish(machine, "one", { preview_ttl_ms: HOUR_MS });
  machine.timeMs += HOUR_MS / 2;
  const again = machine.ok(acceptOf("one", { ...TO_PREVIEW, publish_id: "pub_again" }));
  assert.deepEqual(again, { type: "accepted", publish_id, outcome: "existing" });
  assert.equal(endsIn(machine), HOUR_MS);
  machine.timeMs += HOUR_MS / 2;
  machine.begin("two", TO_PREVIEW);
  assert.equal(endsIn(machine), HOUR_MS - 1);
});

test("the same request again is no sign of life: a key that is bound does not slide the end", () => {
  const machine = new Machine();
  const key = { idempotency_key: "k", preview_ttl_ms: HOUR_MS };
  publish(machine, "one", key);
  const { expires_at } = preview(machine);
  machine.ok(acceptOf("one", { ...TO_PREVIEW, ...key, publish_id: "pub_again" }));
  assert.equal(preview(machine).expires_at, expires_at);
  machine.ok(acceptOf("one", { ...TO_PREVIEW, publish_id: "pub_other", idempotency_key: "k2" }));
  assert.notEqual(preview(machine).expires_at, expires_at);
});

test("content that was followed by other content is published again, not answered with the past", () => {
  const machine = new Machine();
  publish(machine, "a");
  publish(machine, "b");
  const back = publish(machine, "a", { publish_id: "pub_back" });
  assert.equal(back.publish_id, "pub_back");
  assert.equal(preview(machine).image_digest, artifactOf("a").image_digest);
});

test("an older publish that finishes late never replaces a newer one: it ends as overtaken", () => {
  const machine = new Machine();
  const older = machine.begin("old", TO_PREVIEW);
  const newer = machine.begin("new", TO_PREVIEW);
  machine.finish(newer, "new");
  machine.finish(older, "old");
  const record = machine.publishRecord(older);
  assert.deepEqual([record.state, record.overtaken_by], ["overtaken", newer]);
  assert.equal(preview(machine).publish_id, newer);
  assert.equal(served(machine, "old"), false);
});

test("a queued publish of a preview ends as overtaken when a newer one is accepted; one that runs goes on", () => {
  const machine = new Machine();
  const running = machine.begin("running", TO_PREVIEW);
  machine.ok(acceptOf("queued", { ...TO_PREVIEW, publish_id: "pub_queued" }));
  machine.ok(acceptOf("other preview", { channel: "preview/pr-2", publish_id: "pub_other" }));
  machine.ok(acceptOf("production", { publish_id: "pub_prod" }));
  machine.ok(acceptOf("newest", { ...TO_PREVIEW, publish_id: "pub_newest" }));
  const states = [running, "pub_queued", "pub_other", "pub_prod", "pub_newest"].map(
    (id) => machine.publishRecord(id).state,
  );
  assert.deepEqual(states, ["ingesting", "overtaken", "queued", "queued", "queued"]);
  const overtaken = machine.publishRecord("pub_queued");
  assert.equal(overtaken.overtaken_by, "pub_newest");
  assert.equal(overtaken.error?.code, "OVERTAKEN");
  assert.equal(machine.eventTypes().at(-1), "publish.overtaken");
  assert.equal(machine.state.get(KEYS.backlog(ORG)), 4);
  const audit = listAudit(machine.state, ORG).items.find((row) => row.action === "overtake");
  assert.equal(audit?.resource, "pub_queued");
  assert.equal(
    refusal(machine.apply({ type: "start", publish_id: "pub_queued", attempt: 1, node: "n" })),
    "STATE_CONFLICT",
  );
});

test("production publishes are overtaken only where the project says so, and only those accepted since", () => {
  const machine = new Machine();
  machine.publish("first");
  machine.ok(acceptOf("before", { publish_id: "pub_before" }));
  machine.ok({ type: "project.set", settings: { overtake: true } });
  machine.ok(acceptOf("one", { publish_id: "pub_one" }));
  machine.ok(acceptOf("two", { publish_id: "pub_two" }));
  const states = ["pub_before", "pub_one", "pub_two"].map((id) => machine.publishRecord(id).state);
  assert.deepEqual(states, ["queued", "overtaken", "queued"]);
  machine.ok({ type: "project.set", settings: { overtake: false } });
  machine.ok(acceptOf("three", { ...TO_PREVIEW, publish_id: "pub_three" }));
  machine.ok(acceptOf("four", { ...TO_PREVIEW, publish_id: "pub_four" }));
  assert.equal(machine.publishRecord("pub_three").state, "queued", "false: previews neither");
});

test("expire ends a preview whose end has come and is the one that was seen, and nothing else", () => {
  const machine = new Machine();
  publish(machine, "one", { preview_ttl_ms: HOUR_MS });
  const early = expire(machine);
  assert.deepEqual(machine.ok(early), { type: "done", changed: false });
  const seen = expire(machine);
  machine.ok({ type: "preview.extend", name: PR, ttl_ms: 2 * HOUR_MS });
  machine.timeMs += HOUR_MS + 1;
  assert.deepEqual(machine.ok(seen), { type: "done", changed: false }, "extended before it in the log");
  machine.timeMs += HOUR_MS;
  const due = expire(machine);
  assert.deepEqual(machine.ok(due), { type: "done", changed: true });
  assert.equal(findPreview(machine.state, AT, PR), undefined);
  assert.deepEqual(machine.ok(due), { type: "done", changed: false });
  assert.equal(
    listPreviews(machine.state, AT, { all: true }).items[0]?.state,
    "expired",
    "it stays as history",
  );
  assert.equal(machine.eventTypes().filter((type) => type === "preview.expired").length, 1);
});

test("thousands of previews that end in the same second are ended by one sweep, many commands at a time", async () => {
  const machine = new Machine();
  const [endMs, count] = [machine.timeMs + 1_000, 3_000];
  for (let n = 0; n < count; n++) {
    const name = `pr-${n}` as Name;
    const row = { ...AT, name, expires_at: new Date(endMs).toISOString() };
    machine.state.put(KEYS.previewExpiry(endMs, AT, name), row);
  }
  const sent = new Set<string>();
  let [waiting, most] = [0, 0];
  const append = async ({ id }: Command): Promise<void> => {
    sent.add(id);
    waiting += 1;
    most = Math.max(most, waiting);
    await new Promise((resolve) => setImmediate(resolve));
    waiting -= 1;
  };
  const source = { read: <T>(body: (view: StateView) => T) => body(machine.state) };
  assert.equal(await expirePreviews({ source, append, nowMs: endMs }), count);
  assert.equal(sent.size, count);
  assert.ok(most > 50 && most < 1_000, `${most} at a time`);
});

test("a publish that runs while its preview expires brings it back", () => {
  const machine = new Machine();
  publish(machine, "one", { preview_ttl_ms: HOUR_MS });
  const running = machine.begin("two", TO_PREVIEW);
  machine.timeMs += 2 * HOUR_MS;
  machine.ok(expire(machine));
  machine.finish(running, "two");
  assert.equal(preview(machine).publish_id, running);
  assert.equal(machine.eventTypes().at(-1), "preview.created");
});

test("a pinned preview has no end; publishing keeps it pinned, extending ends that", () => {
  const machine = new Machine();
  publish(machine, "one", { preview_ttl_ms: HOUR_MS });
  assert.deepEqual(machine.ok({ type: "preview.pin", name: PR }), { type: "done", changed: true });
  assert.deepEqual(machine.ok({ type: "preview.pin", name: PR }), { type: "done", changed: false });
  publish(machine, "two");
  assert.deepEqual([preview(machine).pinned, preview(machine).expires_at], [true, undefined]);
  assert.equal([...machine.state.range(RANGES.previewExpiry())].length, 0);
  machine.ok({ type: "preview.extend", name: PR });
  assert.deepEqual([preview(machine).pinned, endsIn(machine)], [false, HOUR_MS]);
});

test("a removed preview is gone with what was on its way to it, and a new publish makes it anew", () => {
  const machine = new Machine();
  publish(machine, "one");
  const running = machine.begin("two", TO_PREVIEW);
  machine.ok({ type: "preview.remove", name: PR, reason: "merged" });
  assert.equal(findPreview(machine.state, AT, PR), undefined);
  assert.equal(machine.publishRecord(running).state, "cancelled");
  assert.deepEqual(machine.ok(readyOf(running, "two")), {
    type: "ended",
    publish_id: running,
    applied: false,
  });
  assert.equal(refusal(machine.apply({ type: "preview.remove", name: PR })), "NOT_FOUND");
  assert.equal(refusal(machine.apply({ type: "preview.pin", name: PR })), "NOT_FOUND");
  assert.equal(refusal(machine.apply({ type: "preview.extend", name: PR })), "NOT_FOUND");
  const again = publish(machine, "one", { publish_id: "pub_anew" });
  assert.equal(preview(machine).publish_id, again.publish_id);
});

test("a preview whose first publish is still on its way can be removed: that publish is cancelled", () => {
  const machine = new Machine();
  const first = machine.begin("one", TO_PREVIEW);
  machine.ok({ type: "preview.remove", name: PR });
  assert.equal(machine.publishRecord(first).state, "cancelled");
});

test("promoting allocates a version for the same image, lets it go live, and the preview lives on", () => {
  const machine = new Machine();
  machine.publish("production");
  const { publish_id } = publish(machine, "candidate");
  const value = machine.ok({ type: "preview.promote", name: PR, activate: true, reason: "approved" });
  assert.deepEqual(value, { type: "promoted", version: "v2", existing: false, activated: true });
  const release = machine.release(2);
  assert.equal(release.image_digest, preview(machine).image_digest);
  assert.deepEqual(
    [release.state, release.channel, release.promoted_from, release.publish_id],
    ["active", "production", "preview/pr-1", publish_id],
  );
  assert.deepEqual([machine.project.current, machine.project.generation], ["v2", 2]);
  assert.equal(preview(machine).promoted_as, "v2");
  assert.deepEqual(machine.eventTypes().slice(-4), [
    "preview.promoted",
    "release.ready",
    "release.activated",
    "release.superseded",
  ]);
  assert.equal(machine.events().at(-2)?.data["cause"], "promote");
});

test("promoting respects a hold and no-activate, and says which", () => {
  const machine = new Machine();
  machine.publish("production");
  publish(machine, "candidate");
  machine.ok({ type: "hold", reason: "freeze" });
  machine.ok({ type: "preview.promote", name: PR, activate: true });
  assert.equal(machine.release(2).not_activated_reason, "held");
  machine.ok({ type: "unhold" });
  publish(machine, "next");
  machine.ok({ type: "preview.promote", name: PR, activate: false });
  assert.equal(machine.release(3).not_activated_reason, "not_requested");
  assert.equal(machine.project.current, "v1");
});

test("promoting what is a release already allocates nothing and moves nothing", () => {
  const machine = new Machine();
  publish(machine, "candidate");
  machine.ok({ type: "preview.promote", name: PR, activate: true });
  machine.publish("newer");
  const again = machine.ok({ type: "preview.promote", name: PR, activate: true });
  assert.deepEqual(again, { type: "promoted", version: "v1", existing: true, activated: false });
  assert.equal(machine.project.current, "v2");
  const published = machine.publish("candidate", { force_new: false });
  assert.deepEqual([published.version, published.existing], ["v1", true]);
});

test("a promotion is newer than every publish accepted before it, and older than those after", () => {
  const machine = new Machine();
  publish(machine, "candidate");
  const before = machine.begin("before");
  machine.ok({ type: "preview.promote", name: PR, activate: true });
  machine.finish(before, "before");
  assert.equal(machine.release(2).not_activated_reason, "older");
  assert.equal(machine.project.current, "v1");
  machine.publish("after");
  assert.equal(machine.project.current, "v3");
});

test("promoting is refused when the preview shows another image, the generation moved, or it has ended", () => {
  const machine = new Machine();
  machine.publish("production");
  publish(machine, "candidate", { preview_ttl_ms: HOUR_MS });
  const promote = { type: "preview.promote", name: PR, activate: true } as const;
  const other = { ...promote, image_digest: digestOf("other") };
  assert.equal(refusal(machine.apply(other)), "STATE_CONFLICT");
  assert.equal(refusal(machine.apply({ ...promote, expected_generation: 0 })), "GENERATION_STALE");
  machine.timeMs += HOUR_MS;
  machine.ok(expire(machine));
  assert.equal(refusal(machine.apply(promote)), "NOT_FOUND");
  assert.equal(machine.project.last_version, 1);
});

test("a digest is served while a preview lives that references it, and after that only for a release", () => {
  const machine = new Machine();
  publish(machine, "one");
  publish(machine, "one", { channel: "preview/pr-2", publish_id: "pub_2" });
  assert.equal(served(machine, "one"), true);
  publish(machine, "two");
  assert.equal(served(machine, "one"), true, "the other preview shows it");
  machine.ok({ type: "preview.remove", name: "pr-2" as Name });
  assert.equal(served(machine, "one"), false);
  machine.ok({ type: "preview.promote", name: PR, activate: false });
  machine.ok({ type: "preview.remove", name: PR });
  assert.equal(served(machine, "two"), true, "a release references it");
  assert.equal([...machine.state.rows()].filter(([key]) => key.startsWith("preview-digest/")).length, 0);
});
