import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { runWorlds } from "./run-worlds.ts";

test("with lost answers, doubled and swapped deliveries, crashes and two relays, no pointer tears and nothing acknowledged is lost", async (t: TestContext) => {
  const seen = await runWorlds(t, 200);
  assert.ok(seen.crashes > 50, `${seen.crashes} crashes`);
  assert.ok(seen.repeated > 10, `${seen.repeated} repeated commands`);
});
