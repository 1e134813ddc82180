import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDiskGuard } from "../../../services/farm/disk-guard.ts";
import type { Log } from "../../../services/shared/log.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

test("a data folder that goes away is logged once and refuses uploads and commands, and one that comes back takes them again", async () => {
  const dir = join(tempFolder(), "data");
  mkdirSync(dir);
  const logged: string[] = [];
  const log = { error: (_: unknown, message: string) => logged.push(message) } as unknown as Log;
  const guard = startDiskGuard({ dir, server: undefined, log });
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
