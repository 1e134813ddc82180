import { it } from "node:test";
import { cutPowerInGarbageCollections } from "./garbage-crash.ts";
import { createPowerCutDisk } from "./power-cut-disk.ts";
import { random } from "./random.ts";

/** The test of power cuts in garbage collections, with so many of them. */
export function testPowerCuts(cuts: number): void {
  it(`loses nothing that is named in ${cuts} power cuts while garbage is collected and segments are compacted`, async (t) => {
    const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
    t.diagnostic(`GRANARY_SEED=${seed}`);
    const disk = createPowerCutDisk(1024);
    if (typeof disk === "string") {
      t.skip(`no power cut here: ${disk}`);
      return;
    }
    try {
      await cutPowerInGarbageCollections(disk, { cuts, random: random(seed) });
    } finally {
      disk.remove();
    }
  });
}
