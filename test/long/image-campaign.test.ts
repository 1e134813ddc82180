import { it } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { publishEvolvingTrees } from "../helpers/image-campaign.ts";
import { random } from "../helpers/random.ts";

it("makes the image that follows from the files alone in 300 publishes of trees that change", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const data = tempDir("images");
  const farm = await startTestFarm({ data });
  try {
    await publishEvolvingTrees(farm, { publishes: 300, random: random(seed) });
  } finally {
    await farm.stop();
    removeDir(data);
  }
});
