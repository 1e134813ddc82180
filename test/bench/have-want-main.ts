import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeModulesCorpus } from "./corpus.ts";
import { measureHaveWant } from "./have-want.ts";

/** `node dist/test/bench/have-want-main.js`: the headline row alone. */
const folder = mkdtempSync(join(tmpdir(), "granary-bench-"));
try {
  nodeModulesCorpus(join(folder, "corpus"));
  const result = await measureHaveWant({ folder, tree: join(folder, "corpus", "tree") });
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
