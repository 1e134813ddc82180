import assert from "node:assert/strict";
import { test } from "node:test";
import { runWorlds } from "../property/run-worlds.ts";

test("10,000 histories in a simulated world: no torn pointer, no lost acknowledged command, no doubled effect, no gap", async (t) => {
  const seen = await runWorlds(t, 10_000);
  assert.ok(seen.crashes > 10_000 && seen.repeated > 1_000, JSON.stringify(seen));
});
