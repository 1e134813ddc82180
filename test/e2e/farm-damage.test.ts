import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, tempDir } from "../helpers/farm.ts";
import { damageFarm } from "../helpers/farm-damage.ts";

const folder = tempDir("damage");
after(() => removeDir(folder));

test("after a kill and flipped bits nothing is lost but what was flipped, and nothing wrong is served", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  t.diagnostic(JSON.stringify(await damageFarm({ data: join(folder, "data"), seed, rounds: 1, big: false })));
});
