import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandBody, SessionStartCommand } from "../../../proto/commands.ts";
import type { SessionRecord } from "../../../proto/records.ts";
import { expireSessions } from "../../../services/pointer/expire-sessions.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { findSession, listAudit, listDueSessions } from "../../../services/shared/state-queries.ts";
import { AT, Machine, must, ORG } from "./machine.ts";

const HOUR_MS = 3_600_000;

function startOf(session_id: string, options: Partial<SessionStartCommand> = {}): SessionStartCommand {
  return { type: "session.start", session_id, ttl_ms: HOUR_MS, extend: false, limit: 100, ...options };
}

function start(machine: Machine, session_id: string, options: Partial<SessionStartCommand> = {}) {
  const value = machine.ok(startOf(session_id, options));
  assert.equal(value.type, "session");
  return value;
}

function session(machine: Machine, id: string): SessionRecord {
  return must(findSession(machine.state, AT, id), id);
}

const refusal = (result: ReturnType<Machine["apply"]>) => (result.ok ? "ok" : result.error.code);
const expiryOf = (...sessions: SessionRecord[]): CommandBody => ({
  type: "session.expire",
  sessions: sessions.map(({ session_id, expires_at }) => ({ session_id, expires_at })),
});

test("a session keeps the release that was live when it started, and the next one gets the new release", () => {
  const machine = new Machine();
  machine.publish("one");
  start(machine, "a");
  machine.publish("two");
  start(machine, "b");
  assert.deepEqual([session(machine, "a").version, session(machine, "a").generation], ["v1", 1]);
  assert.deepEqual([session(machine, "b").version, session(machine, "b").generation], ["v2", 2]);
  assert.equal(session(machine, "a").image_digest, machine.release(1).image_digest);
  assert.equal(session(machine, "a").tree, machine.release(1).tree);
  const again = start(machine, "a");
  assert.deepEqual(again, { type: "session", started: false, session: session(machine, "a") });
});

test("there is no session before something is live, nor beyond the limit that the command carries", () => {
  const machine = new Machine();
  assert.equal(refusal(machine.apply(startOf("a"))), "NOT_FOUND");
  machine.publish("one", { activate: false });
  assert.equal(refusal(machine.apply(startOf("a"))), "NOTHING_ACTIVE");
  machine.ok({ type: "activate", version: "v1" });
  start(machine, "a", { limit: 1 });
  assert.equal(refusal(machine.apply(startOf("b", { limit: 1 }))), "RATE_LIMITED");
  assert.equal(refusal(machine.apply(startOf("a", { limit: 1 }))), "ok");
});

test("a start that asks for a time to live extends a living session, and never shortens it", () => {
  const machine = new Machine();
  machine.publish("one");
  start(machine, "a");
  const { expires_at } = session(machine, "a");
  start(machine, "a", { ttl_ms: HOUR_MS / 2, extend: true });
  start(machine, "a", { ttl_ms: 9 * HOUR_MS });
  assert.equal(session(machine, "a").expires_at, expires_at);
  start(machine, "a", { ttl_ms: 2 * HOUR_MS, extend: true });
  assert.equal(Date.parse(session(machine, "a").expires_at), machine.timeMs + 2 * HOUR_MS);
  assert.equal([...machine.state.range(RANGES.sessionExpiry())].length, 1);
});

test("a session ends by a command: late for a reader that looks at the clock, in order for the log", () => {
  const machine = new Machine();
  machine.publish("one");
  start(machine, "a");
  start(machine, "b");
  const [a, b] = [session(machine, "a"), session(machine, "b")];
  assert.deepEqual(machine.ok(expiryOf(a, b)), { type: "done", changed: false });
  machine.timeMs = Date.parse(b.expires_at);
  machine.publish("two");
  // Extended before the expiry in the log: it lives on, with its own release.
  start(machine, "b", { extend: true });
  assert.deepEqual(machine.ok(expiryOf(a, b)), { type: "done", changed: true });
  assert.equal(findSession(machine.state, AT, "a"), undefined);
  assert.equal(session(machine, "b").version, "v1");
  assert.deepEqual(machine.ok(expiryOf(a, b)), { type: "done", changed: false });
  assert.equal(start(machine, "a").session.version, "v2");
});

test("a session is ended by the token that started it, or by one that may overrule", () => {
  const machine = new Machine();
  machine.publish("one");
  start(machine, "a");
  const other = { actor: { kind: "token", id: "tok_2" } } as const;
  const end = { type: "session.end", session_id: "a" } as const;
  assert.equal(refusal(machine.apply({ ...end, of_any: false }, other)), "FORBIDDEN");
  machine.ok({ ...end, of_any: false });
  assert.equal(refusal(machine.apply({ ...end, of_any: false })), "NOT_FOUND");
  start(machine, "a");
  machine.ok({ ...end, of_any: true }, other);
});

test("living sessions are counted per release, and an ended one leaves nothing", () => {
  const machine = new Machine();
  machine.publish("one");
  const events = machine.events().length;
  start(machine, "a");
  start(machine, "b");
  assert.equal(machine.state.get(KEYS.sessionPins(AT, 1)), 2);
  machine.publish("two");
  start(machine, "c");
  assert.deepEqual(
    [1, 2].map((version) => machine.state.get(KEYS.sessionPins(AT, version))),
    [2, 1],
  );
  const other = new Machine();
  other.publish("one");
  for (const id of ["a", "b"]) {
    start(other, id);
    other.ok({ type: "session.end", session_id: id, of_any: false });
  }
  assert.deepEqual(
    [...other.state.rows()].filter(([key]) => key.startsWith("session")),
    [],
  );
  assert.equal(other.events().length, events, "sessions are no changes of the project");
  const audited = listAudit(other.state, ORG).items.filter(({ action }) => action.startsWith("session"));
  assert.deepEqual(audited, []);
});

test("a release that sessions run is not retired, neither by a person nor by retention, until the last has ended", () => {
  const machine = new Machine();
  machine.publish("one");
  start(machine, "a");
  machine.publish("two");
  machine.publish("three");
  machine.ok({ type: "project.set", settings: { retention: { keep_last: 1 } } });
  const retire = { type: "retire", version: "v1" } as const;
  const refused = machine.apply(retire);
  assert.equal(refusal(refused), "RELEASE_IN_USE");
  assert.equal(!refused.ok && refused.error.detail["kept_by"], "1 session runs it");
  assert.deepEqual(machine.ok({ ...retire, automatic: true }), { type: "done", changed: false });
  machine.ok({ type: "session.end", session_id: "a", of_any: false });
  assert.deepEqual(machine.ok({ ...retire, automatic: true }), { type: "done", changed: true });
});

test("results of session commands are forgotten after minutes, those of others after a week", () => {
  const machine = new Machine();
  machine.publish("one");
  machine.ok(startOf("a"), { id: "cmd_start" });
  machine.timeMs += 4 * 60_000;
  machine.ok({ type: "unhold" }, { id: "cmd_other" });
  assert.ok(machine.state.get(KEYS.command("cmd_start")));
  machine.timeMs += HOUR_MS;
  machine.ok({ type: "unhold" });
  assert.equal(machine.state.get(KEYS.command("cmd_start")), undefined);
  assert.ok(machine.state.get(KEYS.command("cmd_other")));
});

test("the sweeper ends many sessions with one command, and what it saw too early stays", async () => {
  const machine = new Machine();
  machine.publish("one");
  for (let i = 0; i < 600; i++) start(machine, `s${i}`, { limit: 1_000 });
  start(machine, "late", { ttl_ms: 2 * HOUR_MS, limit: 1_000 });
  machine.timeMs += HOUR_MS;
  const source = { read: <T>(body: (view: Machine["state"]) => T) => body(machine.state) };
  let commands = 0;
  const sweep = () =>
    expireSessions({
      source,
      nowMs: machine.timeMs,
      append: async (command) => {
        commands += 1;
        machine.applyCommand(command);
      },
    });
  assert.equal(await sweep(), 600);
  assert.equal(commands, 3);
  assert.equal(machine.state.get(KEYS.sessionCount(AT)), 1);
  assert.deepEqual(listDueSessions(machine.state, machine.timeMs, 9), []);
  assert.equal(await sweep(), 0);
});
