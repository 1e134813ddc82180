/** Opens the LMDB file in its argument read-only and fails, or dies, when it is damaged: see state-db-probe.ts. */
import { statSync } from "node:fs";
import { open } from "lmdb";

const [file = ""] = process.argv.slice(2);
const root = open<string, string>({ path: file, encoding: "string", readOnly: true });
const { lastPageNumber, pageSize } = root.getStats() as { lastPageNumber?: number; pageSize?: number };
const expected = ((lastPageNumber ?? 0) + 1) * (pageSize ?? 0);
const { size } = statSync(file);
if (size < expected) fail(`the file has ${size} bytes, its pages end at ${expected}`);
// Touches the tree and a leaf of it.
for (const { value } of root
  .openDB<string, string>({ name: "state", encoding: "string" })
  .getRange({ limit: 100 })) {
  if (value.length === 0) fail("an empty row");
}

function fail(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
