import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { applyCommand } from "../../../services/pointer/apply/apply-command.ts";
import { applyBatch } from "../../../services/pointer/apply-batch.ts";
import { openStateWriter } from "../../../services/shared/state-db.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { probeState } from "../../../services/shared/state-db-probe.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import { MemoryState } from "../../helpers/memory-state.ts";
import { nthCommand } from "../../helpers/nth-command.ts";
import { type PowerCutDisk, withPowerCutDisk } from "../../helpers/power-cut-disk.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

const MAIN = fileURLToPath(new URL("../../helpers/state-writer-main.js", import.meta.url));
const CUTS = 4;

/** Lets a process apply commands until the power goes. @returns the last that it had committed before */
async function runAndCut(
  disk: PowerCutDisk,
  dir: string,
  how: { many: number; ms: number; settles: boolean },
): Promise<number> {
  const child = spawn(process.execPath, [MAIN, dir, String(how.many), how.settles ? "settles" : ""], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), exited]);
  await sleep(how.ms);
  disk.cut();
  const isBusy = how.many > 1_000;
  // One that writes meets the dead disk, and has to call it what it is.
  if (isBusy)
    await waitUntil("it met the dead disk", 10_000, () => /[A-Z]/.test(said) || child.signalCode !== null);
  child.kill("SIGKILL");
  await exited;
  disk.restore();
  const lines = said.trimEnd().split("\n");
  const failure = /[A-Z]/.test(said) ? lines.pop() : undefined;
  if (isBusy && child.signalCode === "SIGKILL") assert.equal(failure, "STORE_IO");
  return Number(lines.at(-1));
}

test(`a state that may be replayed is whole after each of ${CUTS} power cuts, without its last transaction at most, and replay completes it`, async (t) => {
  await withPowerCutDisk(t, 256, async (disk, seed) => {
    const dir = join(disk.folder, "state");
    const memory = new MemoryState();
    let inMemory = 0;
    const digestAt = (seq: number): string => {
      while (inMemory < seq) {
        const { command, ...at } = nthCommand(++inMemory);
        applyCommand(memory, command, at);
      }
      return stateDigest(memory.rows());
    };
    let lost = 0;
    for (let cut = 0; cut < CUTS; cut++) {
      const settles = cut % 2 === 1;
      // Every other pair is cut while nothing is written: only then is the last transaction's meta page still in memory.
      const many = cut % 4 < 2 ? 3 : 1_000_000;
      const committed = await runAndCut(disk, dir, { many, ms: 20 + ((seed * (cut + 7)) % 120), settles });
      await probeState(dir);
      const writer = openStateWriter(dir, { replayable: true });
      const seq = writer.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
      assert.ok(seq >= (settles ? committed : committed - 1), `${committed} was committed, ${seq} is there`);
      lost += Math.max(0, committed - seq);
      assert.equal(stateDigest(writer.rows()), digestAt(seq));
      for (let n = seq + 1; n <= committed; n++) applyBatch(writer, [nthCommand(n)]);
      assert.equal(stateDigest(writer.rows()), digestAt(Math.max(seq, committed)));
      writer.settle();
      await writer.close();
    }
    t.diagnostic(`${inMemory} commands, ${lost} of the last ones were undone`);
  });
});
