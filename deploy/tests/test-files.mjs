import fs from "node:fs";
import path from "node:path";

/** They wait for limits and restarts, half a minute some of them: begun last, they would keep one core for the other's time. */
export const FIRST = [
  "e2e/http-hardening",
  "e2e/previews",
  "e2e/client",
  "workers/pool",
  "e2e/materialize",
  "services/pointer/replica",
  "e2e/store-repair",
].map((name) => path.normalize(`${name}.test.js`));

/**
 * The compiled test files, those that take longest first, the others sorted: Node 20 expands no globs.
 * @param {string} root the checkout
 * @param {{long: boolean, only: readonly string[]}} options `only`: parts of a path, one of which must match
 * @returns {string[]} absolute paths
 */
export function testFiles(root, { long, only }) {
  const folder = path.join(root, "dist", "test");
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .filter((name) => long || !name.startsWith(`long${path.sep}`))
    .filter(
      (name) => only.length === 0 || only.some((part) => path.join("dist", "test", name).includes(part)),
    )
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map((name) => path.join(folder, name));
}

function rank(name) {
  const at = FIRST.indexOf(name);
  return at < 0 ? FIRST.length : at;
}
