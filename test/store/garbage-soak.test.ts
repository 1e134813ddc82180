import assert from "node:assert/strict";
import { it } from "node:test";
import { soakGarbage } from "../helpers/garbage-soak.ts";

it("never misses content of a release while 60 publishes, reads, folders made of releases and collections of garbage go on together", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const counts = await soakGarbage({ publishes: 60, seed });
  t.diagnostic(JSON.stringify(counts));
  assert.equal(counts.publishes, 60);
  assert.ok(counts.deletedBlobs > 0 && counts.reads > 0 && counts.collections > 0 && counts.materialized > 0);
});
