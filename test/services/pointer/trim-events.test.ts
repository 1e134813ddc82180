import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "../../../proto/commands.ts";
import { formatCursor } from "../../../proto/events.ts";
import type { Name } from "../../../proto/names.ts";
import { trimOldEvents } from "../../../services/pointer/trim-old-events.ts";
import { KEYS, RANGES } from "../../../services/shared/state-keys.ts";
import { listEvents } from "../../../services/shared/state-queries.ts";
import { Machine, must, ORG, PROJECT } from "./machine.ts";

const DAY_MS = 86_400_000;

/** What the sweeper would do now: its commands are applied as they are sent. */
function sweep(machine: Machine, keepMs: number): Promise<number> {
  return trimOldEvents({
    source: { read: (body) => body(machine.state) },
    append: async (command: Command) => machine.applyCommand(command),
    nowMs: machine.timeMs,
    keepMs,
  });
}

test("old events go from every list, the young stay, and their numbers go on without a gap", async () => {
  const machine = new Machine();
  machine.publish("one");
  const old = machine.events();
  machine.timeMs += 40 * DAY_MS;
  machine.publish("two");
  const young = machine.events().slice(old.length);
  assert.equal(await sweep(machine, 30 * DAY_MS), 1);
  assert.deepEqual(machine.events(), young);
  const of = { org: ORG, project: PROJECT };
  assert.deepEqual(listEvents(machine.state, of, { after: { seq: 0, k: 0 } }), young);
  assert.deepEqual(listEvents(machine.state, { org: ORG }, { after: { seq: 0, k: 0 } }), young);
  const trimmed = must(machine.state.get(KEYS.eventsTrimmed(ORG)), "mark");
  const last = must(old.at(-1), "event");
  assert.deepEqual(trimmed, { through: formatCursor(last), count: old.length });
  assert.equal(young[0]?.n, last.n + 1);
  assert.equal(machine.project.event_n, must(young.at(-1), "event").n);
  assert.equal(await sweep(machine, 30 * DAY_MS), 0, "nothing is left to do");
});

test("another org's events are not touched, and a command that comes again or too late changes nothing", async () => {
  const machine = new Machine();
  machine.publish("one");
  machine.timeMs += DAY_MS;
  const other = "other" as Name;
  const create = { org: true, project: true };
  machine.ok(
    {
      type: "accept",
      publish_id: "pub_other",
      upload: { digest: `sha256:${"0".repeat(64)}` as never, size: 1 },
      channel: "production",
      commit: "0123456",
      activate: true,
      create,
    },
    { org: other },
  );
  const kept = [...machine.state.range(RANGES.orgEvents(other))].length;
  const through = formatCursor(
    must(
      machine.events().findLast(({ org }) => org === ORG),
      "event",
    ),
  );
  const trim = { type: "events.trim", through } as const;
  assert.deepEqual(machine.ok(trim), { type: "done", changed: true });
  assert.deepEqual(machine.ok(trim), { type: "done", changed: false });
  assert.deepEqual(machine.ok({ type: "events.trim", through: "1-0" }), { type: "done", changed: false });
  assert.equal([...machine.state.range(RANGES.orgEvents(ORG))].length, 0);
  assert.equal([...machine.state.range(RANGES.orgEvents(other))].length, kept);
  assert.equal(machine.state.get(KEYS.eventsTrimmed(ORG))?.through, through, "the mark never goes back");
});
