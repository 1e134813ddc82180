import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { chaos } from "../helpers/farm-chaos.ts";

const ROUNDS = 4;
const SECONDS = 60;
const folder = tempDir("chaos");
after(() => removeDir(folder));
const first = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);

for (let round = 0; round < ROUNDS; round++)
  test(`what is kept can be pulled after ${SECONDS} s of publishes, retirements, collections and kills (seed ${first + round})`, async (t) => {
    const data = join(folder, `data-${round}`);
    const start = () => startTestFarm({ data, args: ["--threads", "2"] });
    const counts = await chaos({ seed: first + round, seconds: SECONDS, killEveryMs: 12_000, start });
    t.diagnostic(JSON.stringify(counts));
    // What a machine that does ten other things still gets done.
    assert.ok(counts.collections > 3 && counts.retired > 2 && counts.pulled > 10);
  });
