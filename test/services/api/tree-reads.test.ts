import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import { TreeReads } from "../../../services/api/tree-reads.ts";
import type { HttpReply } from "../../../services/shared/http-server.ts";

const [GREEDY, OTHER] = ["greedy" as Name, "other" as Name];

class FakeAnswer extends EventEmitter {
  readonly destroyed = false;
}

/** A request whose work ends when it is told to. */
function request(reads: TreeReads, org: Name, log: string[], name: string) {
  const raw = new FakeAnswer();
  const reply = { raw } as unknown as HttpReply;
  let end = (): void => {};
  const ending = new Promise<void>((resolve) => {
    end = resolve;
  });
  const done = reads.use(org, reply, async () => {
    log.push(name);
    await ending;
    return reply;
  });
  return { done, end, closed: () => raw.emit("close") };
}

test("an org with many requests waits behind one of another org, and no more than two work at once", async () => {
  const reads = new TreeReads();
  const log: string[] = [];
  const greedy = Array.from({ length: 10 }, (_, i) => request(reads, GREEDY, log, `greedy ${i}`));
  const other = request(reads, OTHER, log, "other");
  await turn();
  assert.deepEqual(log, ["greedy 0", "greedy 1"]);
  greedy[0]?.end();
  await turn();
  greedy[1]?.end();
  await turn();
  assert.deepEqual(log.toSorted(), ["greedy 0", "greedy 1", "greedy 2", "other"]);
  for (const one of [...greedy, other]) one.end();
  await Promise.all([...greedy, other].map(({ done }) => done));
  assert.equal(log.length, 11);
});

test("what one org has under way is bounded until its clients have read their answers, and leaves room for others", async () => {
  const reads = new TreeReads();
  const log: string[] = [];
  const most = LIMITS.treeReads * LIMITS.orgShare;
  const greedy = Array.from({ length: most }, (_, i) => request(reads, GREEDY, log, `greedy ${i}`));
  for (const one of greedy) one.end();
  await Promise.all(greedy.map(({ done }) => done));
  const refused = { code: "RATE_LIMITED" };
  await assert.rejects(request(reads, GREEDY, log, "too many").done, refused, "answered, but not read");
  const other = request(reads, OTHER, log, "other");
  other.end();
  await other.done;
  greedy[0]?.closed();
  const next = request(reads, GREEDY, log, "next");
  next.end();
  await next.done;
  await assert.rejects(request(reads, GREEDY, log, "too many").done, refused);
});
