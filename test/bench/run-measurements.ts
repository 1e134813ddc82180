import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import type { Bench, Measurement } from "./bench.ts";
import type { Section } from "./row.ts";

/**
 * One after another, each in a folder of its own. One that fails is said and named, and the others are measured all the same.
 */
export async function runMeasurements(
  measurements: readonly Measurement[],
  bench: Bench,
  { only, say }: { only: readonly string[]; say(line: string): void },
): Promise<{ sections: Section[]; failed: string[] }> {
  const sections: Section[] = [];
  const failed: string[] = [];
  for (const { name, isFullOnly = false, measure } of measurements) {
    const isWanted = only.length === 0 || only.includes(name);
    if (!isWanted || (isFullOnly && !bench.full)) continue;
    const folder = join(bench.folder, name.replaceAll(" ", "-"));
    mkdirSync(folder);
    const startedMs = performance.now();
    try {
      const made = await measure({ ...bench, folder });
      sections.push(...made);
      const rows = made.flatMap((section) => section.rows).filter((row) => row.failed === true);
      failed.push(...rows.map(({ what }) => `${name}: ${what}`));
      say(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
    } catch (error) {
      failed.push(name);
      say(`${name} failed: ${inspect(error)}`);
    }
  }
  return { sections, failed };
}
