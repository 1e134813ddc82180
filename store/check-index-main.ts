import { openIndexForReading } from "./index-db.ts";
import { keyAfter } from "./index-keys.ts";

/** Child process of checkIndex: walks all rows, or as many as 2 s allow; dying of it is the finding. */
const WALK_MS = 2_000;
const [folder, extent] = process.argv.slice(2);
if (folder === undefined) throw new RangeError("usage: check-index-main FOLDER all|some");
const index = openIndexForReading(folder);
const endMs = extent === "all" ? Number.POSITIVE_INFINITY : performance.now() + WALK_MS;
let from: Uint8Array = Buffer.of(0);
while (performance.now() < endMs) {
  const page = index.rows({ from, to: Buffer.of(255), limit: 10_000 });
  const last = page.at(-1);
  if (last === undefined) break;
  for (const { key } of page)
    if (index.get(key) === undefined) throw new Error(`row ${key.toString("hex")} cannot be looked up`);
  from = keyAfter(last.key);
}
await index.close();
