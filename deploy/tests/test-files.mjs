import fs from "node:fs";
import path from "node:path";

/**
 * The compiled test files, sorted: Node 20 expands no globs.
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
    .map((name) => path.join(folder, name))
    .filter((file) => only.length === 0 || only.some((part) => path.relative(root, file).includes(part)))
    .sort();
}
