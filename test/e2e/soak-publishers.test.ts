import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { soakPublishers } from "../helpers/publisher-soak.ts";

const folder = tempDir("soak-small");
after(() => removeDir(folder));

test("publishers of several orgs get nothing but success and back-pressure, while more clients than slots are slow", async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 100_000);
  const farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
  // One thread has four slots: eight slow clients would fill them, if they took any.
  const options = {
    seconds: 4,
    publishers: 24,
    slowClients: 8,
    orgs: 4,
    projectsPerOrg: 2,
    filesPerApp: 40,
    seed,
  };
  const { published, perOrg, p50Ms, p99Ms, backPressure } = await soakPublishers(farm, options);
  t.diagnostic(
    `seed ${seed}: ${published} publishes, p50 ${p50Ms} ms, p99 ${p99Ms} ms, ${backPressure} put off`,
  );
  assert.equal(perOrg.length, options.orgs);
  assert.ok(published >= options.publishers + options.slowClients);
  assert.equal(await farm.stop(), 0);
});
