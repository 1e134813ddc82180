import assert from "node:assert/strict";
import { test } from "node:test";
import { type EventRecord, formatCursor } from "../../../proto/events.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import type { WebhookRecord } from "../../../proto/webhooks.ts";
import {
  afterAttempt,
  firstProgress,
  LADDER_MS,
  type Outcome,
  type Progress,
  planDelivery,
} from "../../../services/hooks/delivery-plan.ts";
import { findWebhook } from "../../../services/shared/state-queries.ts";
import { Machine, must, ORG } from "../pointer/machine.ts";

const ID = "whk_1";
const START_MS = 1_000_000;

/** One webhook of a real state machine, an endpoint that answers what the test says, and a clock that it moves. */
class Endpoint {
  readonly machine = new Machine();
  nowMs = START_MS;
  progress: Progress;
  outcome: Outcome | undefined;
  readonly got: string[] = [];
  /** Status of an answer; default 200. */
  answer: (event: EventRecord) => number = () => 200;
  retryAfterMs: number | undefined;

  constructor(types: readonly string[] = ["project.created", "project.held", "project.unheld"]) {
    this.machine.ok({ type: "org.create" });
    this.machine.ok({ type: "webhook.create", webhook_id: ID, url: "https://x", types, sealed_secret: "s" });
    this.progress = firstProgress(this.webhook);
  }

  get webhook(): WebhookRecord {
    return must(findWebhook(this.machine.state, ORG, ID), ID);
  }

  /** A project's first event is its creation, the further ones are holds and releases of them. */
  happen(project: string): void {
    const at = { project: project as Name };
    const known = this.machine.events().some((event) => event.project === project);
    if (!known) {
      this.machine.apply(
        {
          type: "accept",
          publish_id: `pub_${project}`,
          upload: { digest: `sha256:${"0".repeat(64)}` as never, size: 1 },
          channel: "production",
          commit: "0123456",
          activate: true,
          create: { org: true, project: true },
        },
        at,
      );
    } else {
      const held =
        this.machine.events().findLast((event) => event.project === project)?.type === "project.held";
      this.machine.ok(held ? { type: "unhold" } : { type: "hold", reason: "r" }, at);
    }
  }

  /** One attempt, when one is due. @returns when to look again, or undefined */
  step(): number | undefined | "sent" {
    const { machine, progress, nowMs } = this;
    const plan = planDelivery(machine.state, this.webhook, { progress, nowMs });
    this.progress = plan.progress;
    if (plan.kind === "again") return this.step();
    if (plan.kind === "wait") return plan.untilMs;
    const { event } = plan.item;
    const status = event === undefined ? 200 : this.answer(event);
    this.got.push(`${event === undefined ? "ping" : `${event.project}/${event.n}`}:${status}`);
    const attempt = { status, error: null, retryAfterMs: this.retryAfterMs };
    this.outcome = afterAttempt(plan, attempt, { nowMs, jitter: 0 });
    this.progress = this.outcome.progress;
    return "sent";
  }

  /** Runs, with the clock jumping to whatever is due next, until nothing is, or something has to be disabled. */
  run(untilMs = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < 10_000; i++) {
      const next = this.step();
      if (this.outcome?.disable !== undefined || next === undefined) return;
      if (next === "sent") continue;
      if (next > untilMs) return;
      this.nowMs = next;
    }
    throw new Error("does not come to an end");
  }
}

test("a project gets its events whatever its name is, also that of a member which every object has", () => {
  const endpoint = new Endpoint();
  let down = true;
  endpoint.answer = ({ project }) => (project === "constructor" && down ? 500 : 200);
  for (const project of ["constructor", "a", "constructor"]) endpoint.happen(project);
  assert.equal(endpoint.step(), "sent");
  down = false;
  endpoint.run();
  assert.deepEqual(endpoint.got, ["constructor/1:500", "constructor/1:200", "a/1:200", "constructor/3:200"]);
});

test("events of a webhook's types come once, in order, and the place moves over the others", () => {
  const endpoint = new Endpoint();
  for (const project of ["a", "b", "a", "a", "b"]) endpoint.happen(project);
  endpoint.run();
  assert.deepEqual(
    endpoint.got.map((line) => line.split(":")[0]),
    endpoint.machine
      .events()
      .filter(({ type }) => type === "project.created" || type.startsWith("project."))
      .map((event) => `${event.project}/${event.n}`),
  );
  const last = must(endpoint.machine.events().at(-1), "event");
  assert.equal(endpoint.progress.cursor, formatCursor(last));
  assert.equal(endpoint.step(), undefined);
});

test("a webhook of one project hears of no other", () => {
  const endpoint = new Endpoint();
  endpoint.machine.ok({
    type: "webhook.create",
    webhook_id: "whk_2",
    url: "https://x",
    types: [],
    webhook_project: "b" as Name,
    sealed_secret: "s",
  });
  for (const project of ["a", "b"]) endpoint.happen(project);
  const webhook = must(findWebhook(endpoint.machine.state, ORG, "whk_2"), "webhook");
  const plan = planDelivery(endpoint.machine.state, webhook, { progress: firstProgress(webhook), nowMs: 0 });
  assert.ok(plan.kind === "send" && plan.item.event?.project === "b");
});

test("a project whose event fails waits for it; others go on, and the order of each holds", () => {
  const endpoint = new Endpoint();
  for (const project of ["a", "b", "a", "b"]) endpoint.happen(project);
  let refusals = 3;
  endpoint.answer = (event) => (event.project === "a" && refusals-- > 0 ? 500 : 200);
  endpoint.run();
  const delivered = endpoint.got.filter((line) => line.endsWith(":200")).map((line) => line.split(":")[0]);
  assert.deepEqual(
    delivered.filter((id) => id?.startsWith("a/")),
    ["a/1", "a/3"],
  );
  assert.deepEqual(
    delivered.filter((id) => id?.startsWith("b/")),
    ["b/1", "b/3"],
  );
  assert.ok(delivered.indexOf("b/3") < delivered.indexOf("a/1"), endpoint.got.join(" "));
  assert.deepEqual(endpoint.progress.lanes, {}, "who has caught up is back in the feed");
});

test("an endpoint that is down gets one attempt per step of the ladder, and is disabled after 25", () => {
  const endpoint = new Endpoint();
  for (const project of ["a", "b", "c", "a", "b", "c"]) endpoint.happen(project);
  endpoint.answer = () => 503;
  const times: number[] = [];
  const answer = endpoint.answer;
  endpoint.answer = (event) => {
    times.push(endpoint.nowMs);
    return answer(event);
  };
  endpoint.run();
  assert.equal(times.length, LIMITS.webhookFailures);
  assert.match(endpoint.outcome?.disable ?? "", /25 failures/);
  const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
  assert.deepEqual(waits.slice(0, LADDER_MS.length), LADDER_MS);
  assert.ok((times.at(-1) ?? 0) - START_MS > 4 * 86_400_000);
});

test("gone for an hour: nothing is missed, and everything comes in order when it is back", () => {
  const endpoint = new Endpoint();
  const back = START_MS + 3_600_000;
  endpoint.answer = () => (endpoint.nowMs < back ? 503 : 200);
  const wanted: string[] = [];
  for (let i = 0; i < 60; i++) {
    endpoint.happen(["a", "b", "c"][i % 3] ?? "a");
    endpoint.run(START_MS + i * 60_000);
    endpoint.nowMs = Math.max(endpoint.nowMs, START_MS + i * 60_000);
  }
  for (const event of endpoint.machine.events())
    if (event.type.startsWith("project.")) wanted.push(`${event.project}/${event.n}`);
  endpoint.run();
  const delivered = endpoint.got.filter((line) => line.endsWith(":200")).map((line) => line.split(":")[0]);
  assert.deepEqual([...delivered].sort(), [...wanted].sort());
  for (const project of ["a", "b", "c"])
    assert.deepEqual(
      delivered.filter((id) => id?.startsWith(`${project}/`)),
      wanted.filter((id) => id.startsWith(`${project}/`)),
    );
  assert.ok(endpoint.got.length - delivered.length < 10, "the outage cost a handful of attempts");
});

test("an event that fails for three days while others get through is given up, and what follows it comes", () => {
  const endpoint = new Endpoint();
  endpoint.happen("a");
  endpoint.happen("a");
  endpoint.answer = (event) => (event.project === "a" && event.n === 1 ? 500 : 200);
  const results: string[] = [];
  for (let i = 0; i < 400 && !results.includes("given_up"); i++) {
    endpoint.happen("b");
    endpoint.nowMs += 3_600_000;
    while (endpoint.step() === "sent") results.push(endpoint.outcome?.result ?? "");
  }
  assert.ok(results.includes("given_up"));
  assert.equal(endpoint.outcome?.disable, undefined);
  assert.ok(endpoint.nowMs - START_MS > 3 * 86_400_000);
  endpoint.run();
  assert.ok(endpoint.got.includes("a/3:200"), endpoint.got.slice(-5).join(" "));
});

test("410 disables at once; Retry-After is honoured up to six hours", () => {
  const gone = new Endpoint();
  gone.happen("a");
  gone.answer = () => 410;
  gone.run();
  assert.deepEqual([gone.got.length, /410/.test(gone.outcome?.disable ?? "")], [1, true]);

  const slow = new Endpoint();
  slow.happen("a");
  slow.answer = () => 429;
  slow.retryAfterMs = 600_000;
  slow.step();
  assert.equal(slow.outcome?.nextMs, START_MS + 600_000);
  slow.retryAfterMs = 10 * 86_400_000;
  slow.nowMs += 600_000;
  slow.step();
  assert.equal((slow.outcome?.nextMs ?? 0) - slow.nowMs, 6 * 3_600_000);
});

test("a webhook that was disabled keeps its place; enabled, it goes on there at once", () => {
  const endpoint = new Endpoint();
  endpoint.happen("a");
  endpoint.answer = () => 503;
  endpoint.run();
  const { revision } = endpoint.webhook;
  const disable = { type: "webhook.disable", webhook_id: ID, revision, failures: 25, reason: "r" } as const;
  endpoint.machine.ok(disable, { project: "a" as Name });
  assert.equal(endpoint.webhook.enabled, false);
  assert.equal(endpoint.machine.events().at(-1)?.type, "webhook.disabled");
  assert.equal(endpoint.step(), undefined);
  endpoint.happen("a");
  endpoint.machine.ok({ type: "webhook.update", webhook_id: ID, enabled: true });
  endpoint.answer = () => 200;
  endpoint.got.length = 0;
  endpoint.outcome = undefined;
  endpoint.run();
  assert.deepEqual(endpoint.got, ["a/1:200", "a/4:200"]);
  const late = endpoint.machine.apply(disable, { id: "late", project: "a" as Name });
  assert.deepEqual(
    late.ok && late.value,
    { type: "done", changed: false },
    "failures before the change do not count",
  );
  assert.equal(endpoint.webhook.enabled, true);
});

test("a replay goes back to its cursor, one event comes again alone, a ping disturbs nothing", () => {
  const endpoint = new Endpoint();
  for (const project of ["a", "b", "a"]) endpoint.happen(project);
  endpoint.run();
  const first = endpoint.got.splice(0);
  const ask = (what: object) =>
    endpoint.machine.ok({ type: "webhook.ask", webhook_id: ID, ask: what as never });
  ask({ kind: "from", cursor: "0-0" });
  endpoint.run();
  assert.deepEqual(endpoint.got.splice(0), first);
  const event = must(
    endpoint.machine.events().find(({ project, n }) => project === "b" && n === 1),
    "b/1",
  );
  ask({ kind: "event", cursor: formatCursor(event) });
  ask({ kind: "ping" });
  endpoint.run();
  assert.deepEqual(endpoint.got, ["b/1:200", "ping:200"]);
  assert.equal(endpoint.step(), undefined);
});
