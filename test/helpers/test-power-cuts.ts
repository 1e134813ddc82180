import { it } from "node:test";
import { cutPowerInGarbageCollections } from "./garbage-crash.ts";
import { withPowerCutDisk } from "./power-cut-disk.ts";
import { random } from "./random.ts";

/** The test of power cuts in garbage collections, with so many of them. */
export function testPowerCuts(cuts: number): void {
  it(`loses nothing that is named in ${cuts} power cuts while garbage is collected and segments are compacted`, (t) =>
    withPowerCutDisk(t, 1024, (disk, seed) =>
      cutPowerInGarbageCollections(disk, { cuts, random: random(seed) }),
    ));
}
