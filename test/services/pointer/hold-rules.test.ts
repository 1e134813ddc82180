import assert from "node:assert/strict";
import { test } from "node:test";
import { Machine } from "./machine.ts";

const until = "2099-01-01T00:00:00.000Z";

function refusal(machine: Machine, type: "hold" | "org.hold" | "farm.hold", end?: string): string {
  const body = {
    type,
    reason: "lunch",
    ...(end !== undefined && { until: end }),
    keeps_endless: true,
  } as const;
  const result = machine.apply(body);
  return result.ok ? "ok" : result.error.code;
}

test("a hold with an end does not take the place of one that lasts until it is released: a rollback stays", () => {
  const machine = new Machine();
  for (const content of ["one", "two"]) machine.publish(content);
  machine.ok({ type: "rollback", reason: "night" });
  assert.equal(refusal(machine, "hold", until), "HELD");
  assert.equal(machine.project.hold?.until, undefined);
  machine.publish("three");
  assert.equal(machine.project.current, "v1");
  assert.equal(refusal(machine, "hold"), "ok", "another one without an end does");
  machine.ok({ type: "unhold" });
  assert.equal(refusal(machine, "hold", until), "ok");
  assert.equal(refusal(machine, "hold", "2098-01-01T00:00:00.000Z"), "ok", "an end may be set anew");
});

test("the same goes for holds of the org and the farm, and commands of older logs mean what they meant", () => {
  const machine = new Machine();
  machine.publish("one");
  for (const type of ["org.hold", "farm.hold"] as const) {
    assert.equal(refusal(machine, type), "ok");
    assert.equal(refusal(machine, type, until), "HELD");
    machine.ok({ type, reason: "old", until });
    assert.equal(refusal(machine, type, until), "ok");
  }
});
