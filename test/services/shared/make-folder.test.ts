import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lockDataDir } from "../../../services/shared/data-lock.ts";
import { makeFolder } from "../../../services/shared/make-folder.ts";
import { writeBackup } from "../../../services/shared/write-backup.ts";
import { runCliProcess } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const skip = existsSync("/proc/self") ? false : "there is no /proc";

test("a folder is made with those above it, for its owner only, and may be there already", () => {
  const folder = join(tempFolder(), "a", "b");
  makeFolder(folder);
  makeFolder(folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
});

test("a folder that cannot be made is refused with what is wrong", () => {
  const file = join(tempFolder(), "file");
  writeFileSync(file, "");
  assert.throws(() => makeFolder(join(file, "a")), { code: "USAGE", message: /cannot be made: ENOTDIR/ });
});

test("where nothing can be made a farm does not start", { skip }, async () => {
  const up = await runCliProcess(["up", "--data", "/proc/granary/data", "--json"]);
  assert.equal(up.code, 4, up.stderr);
  assert.equal(JSON.parse(up.stdout).detail, "the folder /proc/granary cannot be made: ENOENT");
});

test("where nothing can be made no backup is written and no data folder is locked; both would go round for ever", {
  skip,
}, async () => {
  const refused = { code: "USAGE", message: /^the folder \/proc\/granary cannot be made: ENOENT$/ };
  const copyState = () => Promise.reject(new Error("not reached"));
  const backup = { dir: "/proc/granary", dataDir: tempFolder(), granary: "0", now: Date.now, copyState };
  await assert.rejects(writeBackup(backup), refused);
  await assert.rejects(lockDataDir("/proc/granary"), refused);
});
