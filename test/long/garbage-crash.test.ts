import { it } from "node:test";
import { killInGarbageCollections, type Moment } from "../helpers/garbage-crash.ts";

/** The first transactions of a run condemn, delete, turn the epoch, move and drop. */
const COMMITS: readonly Moment[] = [0, 1, 2, 3, 4, 5].map((after) => ["index.commit", after]);
const FILES: readonly Moment[] = (
  [
    "big.unlink",
    "segment.write",
    "segment.sync",
    "folder.sync",
    "segment.truncate",
    "segment.unlink",
  ] as const
).map((op) => [op, 0]);

it("loses nothing that is named in 24 kills at every step of a collection of garbage", async () => {
  await killInGarbageCollections([...COMMITS, ...FILES, ...FILES, ...COMMITS]);
});
