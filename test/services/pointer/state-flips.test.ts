import { it } from "node:test";
import { random } from "../../helpers/random.ts";
import { flipInState, makeStateFolder } from "../../helpers/state-flips.ts";

const FLIPS = 2;

it(`${FLIPS} times one bit of the pointer's state flips, and no state is served that the log does not say`, async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const template = await makeStateFolder();
  for (let flip = 0; flip < FLIPS; flip++)
    t.diagnostic(flipInState(template, { random: random(seed + flip), what: `seed ${seed + flip}` }));
});
