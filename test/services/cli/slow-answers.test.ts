import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runCli } from "../../helpers/cli.ts";
import { sendJson, startFakeFarm } from "./fake-farm.ts";

test("what takes the farm more than a second is told meanwhile, on stderr only; what is quick is not", async (t) => {
  const result = { reclaimed_bytes: 0, blobs: 0, segments: 0, waiting_blobs: 0, waiting_bytes: 0 };
  let waitMs = 0;
  const farm = await startFakeFarm({
    "POST /v1/store:gc": async ({ response }) => {
      await sleep(waitMs);
      sendJson(response, 200, result);
    },
  });
  t.after(() => farm.close());
  const quick = await runCli(["store", "gc", "--json"], { env: farm.env });
  assert.equal(quick.code, 0, quick.stderr);
  waitMs = 1_500;
  const slow = await runCli(["store", "gc", "--json"], { env: farm.env });
  assert.equal(slow.stderr, "the farm looks for what nothing needs...\n");
  assert.deepEqual(JSON.parse(slow.stdout), result);
});
