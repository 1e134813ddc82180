import { it } from "node:test";
import { flipInIndex, makeDataFolder } from "../helpers/index-flips.ts";
import { random } from "../helpers/random.ts";

const FLIPS = 3;

it(`${FLIPS} times one bit of the index flips, and no content and no upload is lost for it`, async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const template = await makeDataFolder();
  for (let flip = 0; flip < FLIPS; flip++) {
    const options = { random: random(seed + flip), crashed: flip % 2 === 0, what: `seed ${seed + flip}` };
    t.diagnostic(await flipInIndex(template, options));
  }
});
