import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

test("env hash needs no farm; what it refuses exits 2 and says where", async () => {
  const directory = tempFolder();
  const file = path.join(directory, "karapace.toml");
  writeFileSync(file, 'manifest_version = 1\n[base]\nimage = "rolling"\n');
  const hashed = await runCli(["env", "hash", "--json"], { cwd: directory });
  assert.equal(hashed.code, 0, hashed.stderr);
  const { manifest_hash, env_id, locked } = JSON.parse(hashed.stdout);
  assert.equal(manifest_hash, "56c0f3659b5f8cd9aa72596a76680b083a92d7c4395f3b7095b440fde74a23f3");
  assert.equal(locked, false);
  assert.equal((await runCli(["env", "hash", "-q", file])).stdout, `${env_id}\n`);
  writeFileSync(path.join(directory, "karapace.lock"), "lock_version = 2\n");
  const locks = await runCli(["env", "hash"], { cwd: directory });
  assert.equal(locks.code, 2);
  assert.match(locks.stderr, /LOCK_INVALID: karapace.lock:1:1: missing field `env_id`/);
  writeFileSync(file, 'manifest_version = 1\n[base]\nimage = "rolling"\n[wat]\n');
  const wrong = await runCli(["env", "hash", "--json"], { cwd: directory });
  assert.equal(wrong.code, 2);
  const { code, detail, params } = JSON.parse(wrong.stdout);
  assert.equal(code, "ENVIRONMENT_INVALID");
  assert.equal(detail, "failed to parse manifest: unknown field `wat` (karapace.toml:4:1)");
  assert.deepEqual(params, { line: 4, column: 1, key: "wat" });
});
