import path from "node:path";
import { runCommand } from "../setup/run-command.mjs";

const CHECKS = [["biome", "check", "."], ["knip"]];

/**
 * Runs the checks of the sources and counts each as one test.
 * @param {string} root the checkout
 * @param {{passed: number, failed: number}} results
 */
export async function runChecks(root, results) {
  for (const [program, ...args] of CHECKS) {
    const name = [program, ...args].join(" ");
    const { ok, output } = await runCommand(path.join(root, "node_modules", ".bin", program), args, {
      cwd: root,
    });
    process.stdout.write(ok ? `ok      ${name}\n` : `FAILED  ${name}\n${output.trim()}\n`);
    if (ok) results.passed++;
    else results.failed++;
  }
}
