import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, tempDir } from "../helpers/farm.ts";
import { damageFarm } from "../helpers/farm-damage.ts";

const FARMS = 4;
const ROUNDS = 6;
const folder = tempDir("damage");
after(() => removeDir(folder));
const first = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);

for (let farm = 0; farm < FARMS; farm++)
  test(`in ${ROUNDS} rounds of kills and flipped bits nothing is lost but what was flipped (seed ${first + farm})`, async (t) => {
    const data = join(folder, `data-${farm}`);
    t.diagnostic(JSON.stringify(await damageFarm({ data, seed: first + farm, rounds: ROUNDS, big: true })));
  });
