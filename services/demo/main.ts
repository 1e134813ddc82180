import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runChaos } from "./chaos.ts";
import { startDemoFarm } from "./demo-farm.ts";
import { renderTable } from "./render-table.ts";
import { runTour } from "./tour.ts";

/**
 * `npm run demo`: a farm on free loopback ports in a temporary folder, and a tour through what it does, with the bundled
 * examples and a pair of real package versions where npm reaches them. `--json`: one object as the last line. `--chaos`: then the farm and
 * its nats-server are killed under load, and what was published is looked for.
 */
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), "granary-demo-"));
const steps: { step: string; outcome: string; ms: number }[] = [];
const note = (step: string, outcome: string, ms: number): void => {
  steps.push({ step, outcome, ms });
  say(`  ${step}: ${outcome} (${ms} ms)`);
};
try {
  const { values } = parseArgs({ options: { json: { type: "boolean" }, chaos: { type: "boolean" } } });
  const farm = await startDemoFarm({ folder, env: process.env });
  try {
    const tour = await runTour({ farm, folder, note });
    if (values.chaos === true) await runChaos({ farm, folder, note });
    if (values.json === true) process.stdout.write(`${JSON.stringify({ ok: true, steps, ...tour })}\n`);
    else {
      const rows = steps.map((row) => [row.step, row.outcome, String(row.ms)]);
      const table = renderTable(["step", "what happened", "ms"], rows);
      process.stdout.write(
        `\n${table}\n\nAll of it ran on a real nats-server, real worker threads and a real store. Keep a farm up: npm start\n`,
      );
    }
  } finally {
    await farm.close();
  }
} catch (error) {
  say(`demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
