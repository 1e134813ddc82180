import { it } from "node:test";
import { checkByFsck, checkByScrub, flipBits } from "../helpers/bit-flips.ts";
import { random } from "../helpers/random.ts";

const FLIPS = 1_000;

for (const [name, check] of Object.entries({ fsck: checkByFsck, "a scrub": checkByScrub })) {
  it(`${name} finds ${FLIPS} of ${FLIPS} flipped bits, wherever they are, and names nothing else`, async (t) => {
    const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
    t.diagnostic(`GRANARY_SEED=${seed}`);
    t.diagnostic(JSON.stringify(await flipBits(FLIPS, random(seed), check)));
  });
}
