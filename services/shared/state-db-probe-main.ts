/**
 * Reads the LMDB file in its first argument, all rows of it or as many as some seconds allow, and fails, or dies, when it is damaged: see
 * state-db-probe.ts.
 */
import { statSync } from "node:fs";
import { openLmdb } from "../../store/open-lmdb.ts";
import { openRow } from "./state-row.ts";

/** A million rows and more, which is a farm of years. */
const WALK_MS = 5_000;
const [file = "", extent = "all"] = process.argv.slice(2);
const root = openLmdb<string, string>({ path: file, encoding: "string", readOnly: true });
const { lastPageNumber, pageSize } = root.getStats() as { lastPageNumber?: number; pageSize?: number };
const expected = ((lastPageNumber ?? 0) + 1) * (pageSize ?? 0);
const { size } = statSync(file);
if (size < expected) fail(`the file has ${size} bytes, its pages end at ${expected}`);
const endMs = extent === "all" ? Number.POSITIVE_INFINITY : performance.now() + WALK_MS;
walk("state", openRow);
walk("local", (_key, text) => text);

/** LMDB's pages have no checksum: what a walk meets has to be found by a look-up too, and there has to be as much of it as is counted. */
function walk(name: string, check: (key: string, text: string) => string): void {
  const db = root.openDB<string, string>({ name, encoding: "string", cache: false });
  const { entryCount } = db.getStats() as { entryCount: number };
  let rows = 0;
  for (const { key, value } of db.getRange({})) {
    check(key, value);
    if (db.get(key) !== value) fail(`row ${key} of ${name} cannot be looked up`);
    rows += 1;
    if (rows > entryCount || performance.now() > endMs) break;
  }
  if (rows !== entryCount && performance.now() <= endMs)
    fail(`${name} has other rows than the ${entryCount} that it counts`);
}

function fail(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
