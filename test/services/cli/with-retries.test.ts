import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { withRetries } from "../../../services/cli/http/with-retries.ts";

const PATIENCE_MS = 60_000;

/** How often something is tried that gets further `gains` times and then no more, and the waits between. */
async function tries(gains: number, attempts: number): Promise<{ count: number; waits: number[] }> {
  const waits: number[] = [];
  let count = 0;
  await assert.rejects(
    withRetries(
      {
        signal: new AbortController().signal,
        patienceMs: PATIENCE_MS,
        retryNoFarm: true,
        attempts,
        progressed: () => count <= gains,
        onRetry: (_failure, waitMs) => waits.push(waitMs),
      },
      async () => {
        count += 1;
        throw new GranaryError("UNAVAILABLE", "the connection broke");
      },
    ),
    { code: "UNAVAILABLE" },
  );
  return { count, waits };
}

test("an action that gets further each time is tried as long as it does, without longer waits", async () => {
  assert.deepEqual(await tries(3, 2), { count: 4, waits: [200, 200, 200] });
});

test("an action that gets nowhere is given up, after waits that grow", async () => {
  assert.deepEqual(await tries(0, 3), { count: 3, waits: [200, 400] });
});
