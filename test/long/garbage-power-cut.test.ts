import { it } from "node:test";
import { cutPowerInGarbageCollections } from "../helpers/garbage-crash.ts";
import { createPowerCutDisk } from "../helpers/power-cut-disk.ts";
import { random } from "../helpers/random.ts";

const CUTS = 40;

it(`loses nothing that is named in ${CUTS} power cuts while garbage is collected and segments are compacted`, async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const disk = createPowerCutDisk(1024);
  if (typeof disk === "string") {
    t.skip(`no power cut here: ${disk}`);
    return;
  }
  try {
    await cutPowerInGarbageCollections(disk, { cuts: CUTS, random: random(seed) });
  } finally {
    disk.remove();
  }
});
