import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { memoryGrowthMib, soakPublishers } from "../helpers/publisher-soak.ts";

const folder = tempDir("soak");
after(() => removeDir(folder));
const SECONDS = Number(process.env["GRANARY_SOAK_S"] ?? 120);
/**
 * V8 takes heap in steps and each thread keeps its buffers: 60 MiB were seen without a leak. So this shows leaks of tens of KiB a
 * publish, not of one; the test says how large one had to be in its run.
 */
const GROWTH_MIB = 100;

test("200 publishers at once get nothing but success and back-pressure, in bounded memory", async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 100_000);
  const farm = await startTestFarm({ data: join(folder, "data"), env: { GRANARY_LOG: "warn" } });
  const report = await soakPublishers(farm, {
    seconds: SECONDS,
    publishers: 200,
    slowClients: 40,
    orgs: 12,
    projectsPerOrg: 3,
    filesPerApp: 100,
    seed,
  });
  const { published, p50Ms, p99Ms, backPressure, perOrg, anonMib, mappedMib } = report;
  const growth = memoryGrowthMib(report);
  t.diagnostic(
    `seed ${seed}, ${SECONDS} s: ${published} publishes, accepted to ready p50 ${p50Ms} ms, p99 ${p99Ms} ms, ` +
      `${backPressure} put off, per org ${Math.min(...perOrg)} to ${Math.max(...perOrg)}, ` +
      `memory ${Math.max(...anonMib)} MiB at most and ${Math.max(...mappedMib)} MiB of mapped files, growth after warm-up ${growth} MiB`,
  );
  const visibleKib = Math.ceil((GROWTH_MIB * 1024) / (published / 3));
  t.diagnostic(
    `a leak of less than ${visibleKib} KiB a publish would not have failed this run: a longer one sees more`,
  );
  assert.ok(growth < GROWTH_MIB, `${growth} MiB; MiB: ${anonMib.join(" ")}`);
  assert.equal(await farm.stop(), 0);
});
