import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { openStore } from "../../store/store.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { flipBit } from "../helpers/store-disk.ts";
import { contentOf, taskCell } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

/** As `du` does: blocks of all files. */
function duOf(dir: string): number {
  return fs
    .readdirSync(dir, { recursive: true, encoding: "utf8" })
    .map((name) => fs.lstatSync(join(dir, name)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.blocks * 512 : 0), 0);
}

function assertWithinOnePercent(told: number, dir: string, what: string): void {
  const du = duOf(dir);
  assert.ok(Math.abs(told - du) <= du / 100, `${what}: the store says ${told}, du ${du}`);
}

test("a store says within one percent what du says: with its reserve, quarantine, dead content and an index that has grown", async () => {
  const dir = tempFolder();
  const open = () => openStore({ dir, log: () => undefined, ballastBytes: 8 * 1024 * 1024 });
  const store = await open();
  const thread = openThreadStore(store.workerData());
  const put = async (...contents: Uint8Array[]): Promise<void> => {
    const writer = thread.beginTask(taskCell());
    for (const content of contents) writer.putBlob(content);
    await store.commit(writer.finish());
  };
  assertWithinOnePercent(store.stats().diskBytes, dir, "empty");
  const big = contentOf("big", LIMITS.packedBlobBytes + 1);
  await put(...Array.from({ length: 2_000 }, (_, i) => contentOf(i, 2_000)), big);
  assertWithinOnePercent(store.stats().diskBytes, dir, "filled");
  flipBit(join(dir, "big", digestOf(big).slice(7, 9), digestOf(big).slice(7)), 5_000);
  await store.fsck({ repair: true });
  await put(big);
  assert.ok(fs.readdirSync(join(dir, "quarantine")).length > 0);
  assertWithinOnePercent(store.stats().diskBytes, dir, "with a damaged file in quarantine");
  const roots = () => [{ digest: digestOf(big), kind: "blob" as const }];
  await store.collectGarbage({ roots, graceMs: 0 });
  assertWithinOnePercent(store.stats().diskBytes, dir, "collected");
  await thread.close();
  await store.close();
});
