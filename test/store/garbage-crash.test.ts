import { it } from "node:test";
import { killInGarbageCollections } from "../helpers/garbage-crash.ts";

it("loses nothing that is named when the process is killed in the middle of a collection of garbage", async () => {
  await killInGarbageCollections([
    ["index.commit", 1],
    ["segment.sync", 0],
    ["segment.truncate", 0],
  ]);
});
