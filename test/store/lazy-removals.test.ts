import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommitterMessage, CommitterRequest } from "../../store/committer-protocol.ts";
import { LazyRemovals } from "../../store/lazy-removals.ts";

const removal = (id: number, behind = true): CommitterMessage =>
  message(id, { kind: "remove", uploadIds: [`u${id}`], behind });
const lease = (id: number): CommitterMessage => message(id, { kind: "release", leaseId: `l${id}` });
const ids = (group: readonly CommitterMessage[]): number[] => group.map(({ id }) => id);

function message(id: number, request: CommitterRequest): CommitterMessage {
  return { id, request };
}

test("removals that nobody waits for go with the next group, in the order in which they came", () => {
  const removals = new LazyRemovals(() => assert.fail("they went alone"));
  assert.deepEqual(removals.join([removal(1)], { wait: true }), []);
  assert.deepEqual(removals.join([removal(2)], { wait: true }), []);
  assert.deepEqual(ids(removals.join([removal(3), lease(4)], { wait: true })), [1, 2, 3, 4]);
  assert.deepEqual(ids(removals.join([lease(5)], { wait: true })), [5], "each goes once");
});

test("a removal that somebody waits for goes at once, and what waited with it", () => {
  const removals = new LazyRemovals(() => assert.fail("they went alone"));
  assert.deepEqual(removals.join([removal(1)], { wait: true }), []);
  assert.deepEqual(ids(removals.join([removal(2, false)], { wait: true })), [1, 2]);
});

test("where no group comes they go alone, and before the committer closes", async () => {
  const alone = new Promise<readonly CommitterMessage[]>((resolve) => {
    const removals = new LazyRemovals(resolve);
    removals.join([removal(1)], { wait: true });
    removals.join([removal(2)], { wait: true });
  });
  assert.deepEqual(ids(await alone), [1, 2]);
  const closing = new LazyRemovals(() => assert.fail("they went alone"));
  closing.join([removal(3)], { wait: true });
  assert.deepEqual(ids(closing.join([], { wait: false })), [3]);
});

test("no more wait than a group may have", () => {
  const removals = new LazyRemovals(() => assert.fail("they went alone"));
  let went: readonly CommitterMessage[] = [];
  let sent = 0;
  while (went.length === 0) went = removals.join([removal(++sent)], { wait: true });
  assert.equal(sent, 256);
  assert.equal(went.length, 256);
});
