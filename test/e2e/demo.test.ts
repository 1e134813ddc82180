import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { runProgram } from "../helpers/run-program.ts";

test("a demo whose farm does not start says why, and goes nowhere near another farm", async () => {
  const demo = join(REPOSITORY_ROOT, "dist/services/demo/main.js");
  const env = { ...process.env, NATS_SERVER_BIN: "/nowhere/nats-server", GRANARY_URL: "http://127.0.0.1:9" };
  const { code, stdout, stderr } = await runProgram(process.execPath, [demo], { env });
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /^demo failed: the farm did not start: \/nowhere\/nats-server is not a nats-server/);
});
