import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startDiskGuard } from "../../../services/farm/disk-guard.ts";
import type { Log } from "../../../services/shared/log.ts";
import { withPowerCutDisk } from "../../helpers/power-cut-disk.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

test("a data folder that goes away is logged once and refuses uploads and commands, and one that comes back takes them again", async () => {
  const dir = join(tempFolder(), "data");
  mkdirSync(dir);
  const logged: string[] = [];
  const log = { error: (_: unknown, message: string) => logged.push(message) } as unknown as Log;
  const guard = startDiskGuard({ dir, server: undefined, log, isSuspect: () => false });
  rmSync(dir, { recursive: true });
  await waitUntil("the guard has looked", 5_000, () => logged.length > 0);
  assert.equal(guard.isThere, false);
  assert.throws(() => guard.assertRoomForUpload(), { code: "STORE_IO" });
  assert.throws(() => guard.assertRoomForCommand(), { code: "STORE_IO" });
  mkdirSync(dir);
  guard.assertRoomForUpload();
  guard.assertRoomForCommand();
  await waitUntil("the guard has looked again", 5_000, () => guard.isThere);
  assert.deepEqual(logged, ["the data folder is gone, or its disk"]);
  guard.close();
});

test("a disk that has failed is found out when what needs it falls silent, one that works or is full is not", async (t) => {
  await withPowerCutDisk(t, 16, async (disk) => {
    let isSilent = false;
    const guard = startDiskGuard({
      dir: disk.folder,
      server: undefined,
      isSuspect: () => isSilent,
      log: { error: () => undefined } as unknown as Log,
    });
    guard.probe();
    await waitUntil("the disk was asked", 5_000, () => readdirSync(disk.folder).length === 1);
    const filler = join(disk.folder, "filler");
    assert.throws(() => writeFileSync(filler, Buffer.alloc(32 * 1024 * 1024)), { code: "ENOSPC" });
    guard.probe();
    await sleep(200);
    assert.ok(guard.failed === undefined);
    disk.cut();
    isSilent = true;
    await waitUntil("the disk has failed", 5_000, () => guard.failed !== undefined);
    const failure: Error | undefined = guard.failed;
    assert.match(String(failure), /EIO|EROFS/);
    guard.close();
  });
});
