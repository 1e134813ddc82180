import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FsOp } from "../../store/fs.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import type { PowerCutDisk } from "./power-cut-disk.ts";
import { openStoreFixture, type StoreFixture } from "./store-fixture.ts";
import { collect, contentBytes, contentsOfTree, treeOf } from "./store-trees.ts";
import { tempFolder } from "./temp-folder.ts";

const ENTRY = fileURLToPath(new URL("./garbage-crash-main.js", import.meta.url));

/** Runs a child until it dies in `op`; answers the numbers of the trees that are roots since. */
async function dieIn(
  dir: string,
  [op, after]: readonly [FsOp, number],
  options: { first: number; kept: number[]; cut?: { disk: PowerCutDisk; lifeMs: number } },
) {
  const { first, kept } = options;
  const args = [ENTRY, dir, String(first), JSON.stringify(kept), op, String(after)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const roots = new Set(kept);
  const lines = createInterface({ input: child.stdout });
  const { cut } = options;
  if (cut !== undefined)
    lines.once("line", () =>
      setTimeout(() => {
        // Stopped, it cannot end by itself of the errors that follow.
        child.kill("SIGSTOP");
        cut.disk.cut();
        child.kill("SIGKILL");
      }, cut.lifeMs),
    );
  lines.on("line", (line) => {
    const [word, number] = line.split(" ");
    if (word === "keep") roots.add(Number(number));
    if (word === "drop") roots.delete(Number(number));
  });
  const [[, signal]] = await Promise.all([once(child, "exit"), once(lines, "close")]);
  assert.equal(signal, "SIGKILL", `${op} ${after}`);
  return [...roots];
}

/** Cuts the power at random moments of a child's work, most of which is collections; nothing that is named may be lost by it. */
export async function cutPowerInGarbageCollections(
  disk: PowerCutDisk,
  options: { cuts: number; random: () => number },
): Promise<void> {
  const dir = join(disk.folder, "store");
  let kept: number[] = [];
  for (let cut = 0; cut < options.cuts; cut++) {
    const never = ["scan", 1_000_000_000] as const;
    const lifeMs = 300 + options.random() * 1_200;
    kept = await dieIn(dir, never, { first: cut * 1_000, kept: kept.slice(-2), cut: { disk, lifeMs } });
    disk.restore();
    const fixture = await openStoreFixture(dir);
    assert.deepEqual(fixture.log, [], `cut ${cut}`);
    await assertKept(fixture, kept);
    await fixture.close();
  }
}

async function assertKept({ store }: StoreFixture, numbers: readonly number[]): Promise<void> {
  for (const number of numbers) {
    for (const content of [...contentsOfTree(number)]) {
      const { digest } = content;
      assert.ok((await store.read(digest)).equals(content.bytes), `tree ${number}`);
    }
    assert.equal((await store.readTree(treeOf(number))).length, contentsOfTree(number).length);
  }
  const { corrupt, missing, misframed, orphaned, wrongAccounts } = await store.fsck();
  assert.deepEqual([corrupt, missing, misframed, orphaned, wrongAccounts], [[], [], [], [], []]);
}

/** A call of a file-system operation before which a run of GC is killed: the n-th from its begin. */
export type Moment = readonly [FsOp, number];

/** Kills a child in each of these moments of a collection; nothing that is named may be lost by it. */
export async function killInGarbageCollections(moments: readonly Moment[]): Promise<void> {
  const dir = tempFolder();
  let kept: number[] = [];
  for (const [at, moment] of moments.entries()) {
    kept = await dieIn(dir, moment, { first: at * 100, kept: kept.slice(-2) });
    assert.ok(kept.length > 0);
    const fixture = await openStoreFixture(dir);
    assert.deepEqual(fixture.log, [], String(moment));
    await assertKept(fixture, kept);
    const { packBytes, bigBytes } = fixture.store.stats();
    assert.equal(contentBytes(dir), packBytes + bigBytes, String(moment));
    await fixture.close();
  }
  await rebuildIndex(dir, { log: () => undefined });
  const last = await openStoreFixture(dir);
  await assertKept(last, kept);
  await collect(
    last,
    kept.map((number) => ({ tree: treeOf(number) })),
  );
  await assertKept(last, kept);
  await last.close();
}
