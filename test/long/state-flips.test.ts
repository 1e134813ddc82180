import { it } from "node:test";
import { random } from "../helpers/random.ts";
import { flipInState, makeStateFolder } from "../helpers/state-flips.ts";

const FLIPS = Number(process.env["GRANARY_FLIPS"] ?? 300);

it(`${FLIPS} times one bit of the pointer's state flips, and no state is served that the log does not say`, async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const template = await makeStateFolder();
  const counts: Record<string, number> = {};
  for (let flip = 0; flip < FLIPS; flip++) {
    const came = flipInState(template, { random: random(seed + flip), what: `seed ${seed + flip}` });
    counts[came] = (counts[came] ?? 0) + 1;
  }
  t.diagnostic(JSON.stringify(counts));
});
