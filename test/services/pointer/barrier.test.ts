import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { createBarrier } from "../../../services/shared/barrier.ts";
import { findProject } from "../../../services/shared/state-queries.ts";
import { AT, acceptOf } from "./machine.ts";
import { freshCommand, startPointerFarm, submitOrThrow } from "./pointer-farm.ts";

const isCode = (code: string) => (error: unknown) => error instanceof GranaryError && error.code === code;

test("behind a barrier another process's replica shows whatever was acknowledged before it", async (t) => {
  const farm = await startPointerFarm(t);
  const [one, two] = [await farm.replica(), await farm.replica({ name: "other", relay: false })];
  await Promise.all([one.ready, two.ready]);
  const target = { bus: await farm.connect("api"), replica: one };
  const barrier = createBarrier({ bus: await farm.connect("api"), replica: two });
  for (let i = 0; i < 20; i++) {
    const { seq } = await submitOrThrow(target, freshCommand(acceptOf(`${i}`, { publish_id: `pub_${i}` })));
    await barrier();
    assert.ok(two.appliedSeq >= seq);
    assert.equal(two.read((view) => findProject(view, AT))?.event_seq, seq);
  }
});

test("calls share a question, but never one that was asked before they came", async () => {
  const answers: ((lastSeq: number) => void)[] = [];
  const waited: number[] = [];
  const barrier = createBarrier({
    bus: {
      logInfo: () => new Promise((resolve) => answers.push((lastSeq) => resolve({ lastSeq }))),
    },
    replica: {
      waitForSeq: async (seq) => {
        waited.push(seq);
        return true;
      },
    },
  });
  const first = barrier();
  const later = [barrier(), barrier(), barrier()];
  assert.equal(answers.length, 1);
  answers[0]?.(7);
  await first;
  await new Promise(setImmediate);
  assert.equal(answers.length, 2, "three calls, one more question");
  answers[1]?.(9);
  await Promise.all(later);
  assert.deepEqual(waited, [7, 9, 9, 9]);
});

test("a log that does not answer and a replica that does not follow are refused, and the next call asks again", async () => {
  let fails = true;
  const barrier = createBarrier({
    bus: {
      logInfo: async () => {
        if (fails) throw new Error("timeout");
        return { lastSeq: 5 };
      },
    },
    replica: { waitForSeq: async () => false },
  });
  const both = await Promise.allSettled([barrier(), barrier()]);
  for (const result of both) assert.ok(result.status === "rejected" && isCode("UNAVAILABLE")(result.reason));
  fails = false;
  await assert.rejects(barrier(), isCode("REPLICA_BEHIND"));
});
