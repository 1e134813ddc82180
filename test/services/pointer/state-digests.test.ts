import assert from "node:assert/strict";
import { test } from "node:test";
import { openStateWriter } from "../../../services/shared/state-db.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { acceptOf, ORG, readyOf } from "./machine.ts";
import { freshCommand, type PointerFarm, startPointerFarm } from "./pointer-farm.ts";

const EVERY = 20;
/** Only a hang takes this long; two replicas beside a full machine need seconds. */
const LIMIT_MS = 60_000;

async function appendPublishes(farm: PointerFarm, count: number): Promise<number> {
  const bus = await farm.connect("api");
  let last = 0;
  for (let i = 0; i < count; i++) {
    const publish_id = `pub_${last}_${i}`;
    await bus.appendCommand(freshCommand(acceptOf(publish_id, { publish_id })));
    await bus.appendCommand(freshCommand({ type: "start", publish_id, attempt: 1, node: "n1" }));
    last = (await bus.appendCommand(freshCommand(readyOf(publish_id, publish_id)))).seq;
  }
  return last;
}

test("two replicas compare equal states, and so does one that replays the log later", async (t) => {
  const farm = await startPointerFarm(t);
  const one = await farm.replica({ digestEvery: EVERY });
  const two = await farm.replica({ name: "two", relay: false, digestEvery: EVERY });
  const last = await appendPublishes(farm, 30);
  for (const replica of [one, two]) {
    assert.ok(await replica.waitForSeq(last, LIMIT_MS));
    await waitUntil("the states are compared", LIMIT_MS, () => replica.compared !== undefined);
  }
  assert.deepEqual([one.health(), two.health()], [{ up: true }, { up: true }]);
  const late = await farm.replica({ name: "late", relay: false, digestEvery: EVERY });
  await waitUntil("the replay is compared", LIMIT_MS, () => late.compared !== undefined);
  assert.deepEqual(late.health(), { up: true });
});

test("a replica whose state was changed under it halts at the next comparison, and stays halted", async (t) => {
  const farm = await startPointerFarm(t);
  const honest = await farm.replica({ digestEvery: EVERY });
  const first = await farm.replica({ name: "changed", relay: false, digestEvery: EVERY });
  const before = await appendPublishes(farm, 5);
  assert.ok(await first.waitForSeq(before, LIMIT_MS));
  await first.close();
  const writer = openStateWriter(farm.stateDir("changed"));
  writer.transact((tx) => tx.put(KEYS.backlog(ORG), 12));
  await writer.close();

  const last = await appendPublishes(farm, 10);
  await waitUntil("the honest state is said", LIMIT_MS, () => honest.compared !== undefined);
  const changed = await farm.replica({ name: "changed", relay: false, digestEvery: EVERY });
  await waitUntil("the changed replica halts", LIMIT_MS, () => {
    const health = changed.health();
    return !health.up && /another state/.test(health.reason);
  });
  await assert.rejects(
    changed.close().then(() => farm.replica({ name: "changed", relay: false })),
    {
      code: "STATE_DIVERGED",
    },
  );
  assert.deepEqual(honest.health(), { up: true });
  assert.equal(honest.appliedSeq, last);
});
