import assert from "node:assert/strict";
import { test } from "node:test";
import type { Name } from "../../../proto/names.ts";
import { FairShare } from "../../../services/shared/fair-share.ts";

const [A, B, C] = ["a", "b", "c"] as unknown as readonly [Name, Name, Name];

test("an org that takes all it can leaves room for the next, and for the one behind", () => {
  const share = new FairShare(512);
  const takeAll = (org: Name): number => {
    let taken = 0;
    while (share.take(org, 1)) taken += 1;
    return taken;
  };
  assert.deepEqual([A, B, C].map(takeAll), [384, 96, 24]);
  share.give(A, 384);
  assert.equal(takeAll(B), 366 - 96, "what was given back is there for the others");
});

test("what would be too much is not taken at all", () => {
  const share = new FairShare(100);
  assert.ok(share.take(A, 75));
  assert.ok(!share.take(A, 1));
  assert.equal(share.limitOf(A), 75);
  assert.ok(!share.take(B, 20));
  assert.ok(share.take(B, 19));
  share.give(A, 75);
  assert.equal(share.limitOf(A), 61);
});
