import assert from "node:assert/strict";
import { it } from "node:test";
import { soakGarbage } from "../helpers/garbage-soak.ts";

it("never misses content of a release in 1,000 publishes with a collection of garbage every 10 ms, reads and folders made of releases", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const counts = await soakGarbage({ publishes: 1_000, seed });
  t.diagnostic(JSON.stringify(counts));
  assert.equal(counts.publishes, 1_000);
  assert.ok(counts.collections > 20 && counts.deletedBlobs > 1_000);
  assert.ok(counts.materialized > 100 && counts.linked > 0 && counts.swept > 100);
});
