import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startDemoFarm } from "./demo-farm.ts";
import { runTour } from "./tour.ts";

/**
 * `npm run demo`: a farm on free loopback ports in a temporary folder, and a tour through what it does, with the bundled
 * examples and a pair of real package versions where npm reaches them. `--json`: one object as the last line.
 */
const json = process.argv.includes("--json");
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), "granary-demo-"));
try {
  const farm = await startDemoFarm({ folder, env: process.env });
  try {
    const tour = await runTour({ farm, folder, say });
    process.stdout.write(json ? `${JSON.stringify(tour.summary)}\n` : `\n${tour.table}\n\n${tour.closing}\n`);
  } finally {
    await farm.close();
  }
} catch (error) {
  say(`demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
