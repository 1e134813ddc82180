import assert from "node:assert/strict";
import { readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { rename } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { LIMITS } from "../../../proto/limits.ts";
import { recoverState } from "../../../services/shared/recover-state.ts";
import { reseedLog } from "../../../services/shared/reseed-log.ts";
import { listSnapshots, restoreMissingState, writeSnapshot } from "../../../services/shared/snapshots.ts";
import { DATA_FILE, openStateWriter } from "../../../services/shared/state-db.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { KEYS, STATE_VERSION } from "../../../services/shared/state-keys.ts";
import { submitCommand } from "../../../services/shared/submit-command.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { acceptOf } from "./machine.ts";
import { digestOnDisk, freshCommand, startPointerFarm } from "./pointer-farm.ts";

test("a missing state is made from the newest whole snapshot, and damaged ones alone are refused", async () => {
  const folder = tempFolder();
  const [dir, snapshots] = [path.join(folder, "state"), path.join(folder, "snapshots")];
  const writer = openStateWriter(dir);
  const digests = new Map<number, string>();
  for (const seq of [10, 20, 30]) {
    writer.transact((tx, local) => {
      local.put("epoch", "e1");
      for (let i = 0; i < 500; i++) tx.put(KEYS.event({ seq, k: i }), { seq } as never);
      tx.put(KEYS.meta(), { version: STATE_VERSION, seq, time_ms: seq });
    });
    digests.set(seq, stateDigest(writer.rows()));
    await writeSnapshot(snapshots, {
      copy: (file) => writer.copy(file),
      digestOf: (rows) => Promise.resolve(stateDigest(rows)),
      keep: 2,
    });
  }
  await writer.close();
  const kept = listSnapshots(snapshots);
  assert.deepEqual(
    kept.map(({ seq, digest, epoch }) => [seq, digest, epoch]),
    [30, 20].map((seq) => [seq, digests.get(seq), "e1"]),
  );
  assert.equal(await restoreMissingState(dir, snapshots), undefined, "a state that is there stays");

  truncateSync(path.join(dir, DATA_FILE), 8_192);
  const warnings: string[] = [];
  const log = { warn: (_: object, message: string) => warnings.push(message) };
  await recoverState({ dir, snapshots, log });
  assert.equal(await digestOnDisk(dir), digests.get(30), "a damaged state goes on from a snapshot");
  assert.equal(warnings.length, 2);
  assert.equal(statSync(path.join(`${dir}.damaged-1`, DATA_FILE)).size, 8_192, "and is kept");

  for (const [i, snapshot] of kept.entries()) {
    rmSync(dir, { recursive: true });
    assert.equal((await restoreMissingState(dir, snapshots))?.seq, snapshot.seq);
    assert.equal(await digestOnDisk(dir), kept[i]?.digest);
    truncateSync(path.join(snapshot.folder, DATA_FILE), 8_192);
  }
  rmSync(dir, { recursive: true });
  await assert.rejects(restoreMissingState(dir, snapshots), { code: "STORE_CORRUPT" });
});

test("after a reseed the state goes on behind all that may be lost; commands of a foreign log are set aside in a file", async (t) => {
  const [one, other] = [await startPointerFarm(t), await startPointerFarm(t)];
  const replica = await one.replica();
  await replica.ready;
  const target = { bus: await one.connect("api"), replica };
  for (let i = 0; i < 5; i++) await submitCommand(target, freshCommand(acceptOf(`content ${i}`)));
  await replica.close();
  await rename(one.stateDir(), other.stateDir());
  const bus = await other.connect("pointer");
  await bus.ensureStreams();
  const foreign = [freshCommand({ type: "org.create" }), freshCommand(acceptOf("foreign"))];
  for (const command of foreign) await bus.appendCommand(command);

  const options = {
    dataDir: other.dataDir,
    natsUrl: other.server.url,
    log: { info: () => undefined, warn: () => undefined },
  };
  const asked = await reseedLog({ ...options, confirmed: false });
  assert.deepEqual([asked.needed, asked.reseeded, asked.set_aside], [true, false, 2]);
  assert.equal((await bus.logInfo()).commands, 2, "asking changes nothing");
  const done = await reseedLog({ ...options, confirmed: true });
  const lines = readFileSync(done.file ?? "", "utf8")
    .trim()
    .split("\n");
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { command: { id: string } }).command.id),
    foreign.map(({ id }) => id),
  );
  const again = await other.replica();
  await again.ready;
  const result = await submitCommand({ bus, replica: again }, freshCommand(acceptOf("content 0")));
  assert.deepEqual([result.ok, result.seq], [true, 6 + LIMITS.commandsLost]);
});
