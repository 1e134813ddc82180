import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { findProject, findPublish, listHistory } from "../../../services/shared/state-queries.ts";
import { newId, submitCommand } from "../../../services/shared/submit-command.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { AT, acceptOf, readyOf } from "./machine.ts";
import {
  cleanReplay,
  digestOnDisk,
  freshCommand,
  type PointerFarm,
  startPointerFarm,
  submitOrThrow,
} from "./pointer-farm.ts";

async function startTarget(farm: PointerFarm) {
  const replica = await farm.replica();
  await replica.ready;
  const target = { bus: await farm.connect("api"), replica };
  for (const content of ["one", "two"]) {
    const id = `pub_${content}`;
    await submitOrThrow(target, freshCommand(acceptOf(content)));
    await submitOrThrow(target, freshCommand({ type: "start", publish_id: id, attempt: 1, node: "n1" }));
    await submitOrThrow(target, freshCommand(readyOf(id, content)));
  }
  return target;
}

test("of a hundred activations that expect one generation exactly one wins", async (t) => {
  const farm = await startPointerFarm(t);
  const target = await startTarget(farm);
  const body = { type: "activate", version: "v1", expected_generation: 2 } as const;
  const all = Array.from({ length: 100 }, () => submitCommand(target, freshCommand(body)));
  const results = await Promise.all(all);
  assert.equal(results.filter((result) => result.ok).length, 1);
  for (const result of results) assert.ok(result.ok || result.error.code === "GENERATION_STALE");
  const project = target.replica.read((view) => findProject(view, AT));
  assert.deepEqual([project?.current, project?.generation], ["v1", 3]);
  assert.equal(target.replica.read((view) => listHistory(view, AT)).items.length, 3);
  await target.replica.close();
  assert.equal(await digestOnDisk(farm.stateDir()), stateDigest((await cleanReplay(target.bus)).rows()));
});

test("a command that is submitted again has the result it had, and no second effect", async (t) => {
  const target = await startTarget(await startPointerFarm(t));
  const command = freshCommand({ type: "rollback" });
  const first = await submitCommand(target, command);
  const again = await Promise.all([submitCommand(target, command), submitCommand(target, command)]);
  assert.deepEqual(again, [first, first]);
  assert.equal(target.replica.read((view) => findProject(view, AT))?.generation, 3);
});

test("whoever has a result reads its effect, and a refusal can be thrown", async (t) => {
  const target = await startTarget(await startPointerFarm(t));
  for (let i = 0; i < 20; i++) {
    const publish_id = newId("pub");
    await submitOrThrow(target, freshCommand(acceptOf(`content ${i}`, { publish_id })));
    assert.equal(target.replica.read((view) => findPublish(view, publish_id))?.state, "queued");
  }
  const refused = submitOrThrow(target, freshCommand({ type: "activate", version: "v9" }));
  await assert.rejects(refused, { code: "NOT_FOUND" });
});

test("without the server a command is refused as certainly not stored, and the replica says it is down", async (t) => {
  const farm = await startPointerFarm(t);
  const target = await startTarget(farm);
  await waitUntil("the replica is up", 5_000, () => target.replica.health().up);
  await farm.server.close();
  await waitUntil("the replica is down", 5_000, () => !target.replica.health().up);
  const submitted = submitCommand(target, freshCommand({ type: "unhold" }), { timeoutMs: 300 });
  await assert.rejects(submitted, (error) => error instanceof GranaryError && error.code === "UNAVAILABLE");
});

test("ids sort by their time and differ within one millisecond", () => {
  const ids = [1, 2, 31, 32, 33, 1_000_000, Date.now()].map((nowMs) => newId("pub", { nowMs }));
  assert.deepEqual([...ids].sort(), ids);
  assert.match(newId("pub"), /^pub_01[0-9a-hjkmnp-tv-z]{24}$/);
  assert.equal(new Set(Array.from({ length: 1_000 }, () => newId("cmd", { nowMs: 5 }))).size, 1_000);
});
