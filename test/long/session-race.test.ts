import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { raceSessions } from "../helpers/session-race.ts";

const SECONDS = 60;
const folder = tempDir("session-race");
after(() => removeDir(folder));

test("300 session starts per second and an activation every 100 ms, for a minute", async (t) => {
  const farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
  const result = await raceSessions(farm, "race", {
    seconds: SECONDS,
    startsPerSecond: 300,
    activationEveryMs: 100,
  });
  t.diagnostic(JSON.stringify(result));
  assert.equal(result.sessions, 300 * SECONDS);
  assert.ok(result.startsPerSecond >= 270, JSON.stringify(result));
  assert.equal(await farm.stop(), 0);
});
