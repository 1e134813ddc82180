import assert from "node:assert/strict";
import { test } from "node:test";
import type { Name } from "../../../proto/names.ts";
import type { PublishJob } from "../../../proto/subjects.ts";
import { republishLostJobs } from "../../../services/pointer/republish-lost-jobs.ts";
import { submitCommand } from "../../../services/shared/submit-command.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { acceptOf, ORG, PROJECT } from "./machine.ts";
import { freshCommand, startPointerFarm } from "./pointer-farm.ts";

const jobOf = (publish_id: string, org: Name = ORG): PublishJob => ({
  v: 1,
  publish_id,
  org,
  project: PROJECT,
  order: 1,
});

test("a job is handed to one node at a time, comes back after a nak, and is gone after an ack", async (t) => {
  const farm = await startPointerFarm(t);
  const pointer = await farm.connect("pointer");
  await pointer.ensureStreams();
  const queue = (await farm.connect("node")).publishJobs;
  assert.equal(await queue.pull("prod", ORG), undefined);
  const { publishJobs } = pointer;
  assert.deepEqual(await publishJobs.publish("prod", jobOf("pub_1")), { seq: 1 });
  assert.deepEqual(
    await publishJobs.publish("prod", jobOf("pub_1")),
    { seq: 1 },
    "repeating it is the same job",
  );
  assert.deepEqual(await queue.backlog(), [{ lane: "prod", org: ORG, jobs: 1 }]);
  const first = await queue.pull("prod", ORG);
  assert.deepEqual([first?.job, first?.deliveries], [jobOf("pub_1"), 1]);
  assert.equal(await queue.pull("prod", ORG), undefined);
  first?.working();
  first?.nak(0);
  let second = await queue.pull("prod", ORG);
  await waitUntil("it comes back", 2_000, async () => {
    second ??= await queue.pull("prod", ORG);
    return second !== undefined;
  });
  assert.equal(second?.deliveries, 2);
  await second?.ack();
  assert.deepEqual(await queue.backlog(), []);
  assert.equal(await queue.lastSeq(), 1, "a job that is done keeps its place");
});

test("an org works on no more jobs at once than its cap, and others are not kept waiting", async (t) => {
  const farm = await startPointerFarm(t);
  const pointer = await farm.connect("pointer");
  await pointer.ensureStreams();
  const queue = (await farm.connect("node")).publishJobs;
  const other = "other" as Name;
  for (let i = 0; i < 4; i++) await pointer.publishJobs.publish("prod", jobOf(`pub_${i}`));
  await pointer.publishJobs.publish("prod", jobOf("pub_other", other));
  const cap = { maxAckPending: 2 };
  const held = [
    await queue.pull("prod", ORG, cap),
    await queue.pull("prod", ORG, cap),
    await queue.pull("prod", ORG, cap),
  ];
  assert.deepEqual(
    held.map((job) => job?.job.publish_id),
    ["pub_0", "pub_1", undefined],
  );
  assert.equal((await queue.pull("prod", other, cap))?.job.publish_id, "pub_other");
  await held[0]?.ack();
  assert.equal((await queue.pull("prod", ORG, cap))?.job.publish_id, "pub_2");
  assert.equal(
    (await queue.pull("prod", ORG, { maxAckPending: 8 }))?.job.publish_id,
    "pub_3",
    "a raised cap counts at once",
  );
});

test("an accepted publish becomes a job, and a lost job is put in again when its org's queue is empty", async (t) => {
  const farm = await startPointerFarm(t);
  const replica = await farm.replica();
  await replica.ready;
  const target = { bus: await farm.connect("api"), replica };
  await submitCommand(target, freshCommand(acceptOf("one")));
  const node = await farm.connect("node");
  let job = await node.publishJobs.pull("prod", ORG);
  await waitUntil("the job is there", 5_000, async () => {
    job ??= await node.publishJobs.pull("prod", ORG);
    return job !== undefined;
  });
  assert.deepEqual(job?.job, { v: 1, publish_id: "pub_one", org: ORG, project: PROJECT, order: 1 });
  const put: PublishJob[] = [];
  const queue = {
    ...node.publishJobs,
    publish: (_: string, lost: PublishJob) => {
      put.push(lost);
      return Promise.resolve({ seq: put.length });
    },
  };
  const later = { source: replica, queue, nowMs: Date.now() + 61_000 };
  assert.equal(await republishLostJobs(later), 0, "a node works on it");
  await job?.ack();
  assert.equal(await republishLostJobs({ ...later, nowMs: Date.now() }), 0, "it may be on its way");
  assert.equal(await republishLostJobs(later), 1);
  assert.deepEqual(put, [job?.job]);
});
