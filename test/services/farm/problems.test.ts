import assert from "node:assert/strict";
import { test } from "node:test";
import { problemsOf } from "../../../services/farm/problems.ts";
import { healthOfLog } from "../../../services/shared/health-of-log.ts";

test("a log that is silent for two seconds is not confirmed, and only after ten is the farm not ready for publishes", () => {
  const after = (silentMs: number) => {
    const health = healthOfLog(silentMs);
    const parts = { replica: { health: () => health }, server: { state: "up" } };
    const options = { parts, store: {}, disk: { isThere: true }, closing: false };
    const problems = problemsOf(options as unknown as Parameters<typeof problemsOf>[0]);
    return { up: health.up, problems };
  };
  assert.deepEqual(after(2_000), { up: true, problems: [] });
  assert.deepEqual(after(2_001), { up: false, problems: [] });
  assert.deepEqual(after(10_000), { up: false, problems: [] });
  assert.deepEqual(after(10_001), { up: false, problems: ["pointer: the command log does not answer"] });
});
