import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Command } from "../../../proto/commands.ts";
import { applyCommand } from "../../../services/pointer/apply/apply-command.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { STATE_VERSION } from "../../../services/shared/state-keys.ts";
import { MemoryState } from "../../helpers/memory-state.ts";

interface GoldenLog {
  readonly state_version: number;
  readonly digest: string;
  readonly log: readonly { readonly time_ms: number; readonly command: Command }[];
}

test("an old log replays to the state that it gave when it was written", () => {
  // A changed digest means that a farm which updates would disagree with its own history: a changed meaning needs a new
  // command type, and a changed key scheme a new STATE_VERSION. Only then may the golden file be written anew.
  const golden = JSON.parse(readFileSync("test/golden/pointer-log.json", "utf8")) as GoldenLog;
  const state = new MemoryState();
  for (const [i, { time_ms: timeMs, command }] of golden.log.entries()) {
    applyCommand(state, command, { seq: i + 1, timeMs });
  }
  assert.equal(golden.state_version, STATE_VERSION);
  assert.equal(stateDigest(state.rows()), golden.digest);
});
