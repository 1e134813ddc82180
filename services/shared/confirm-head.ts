import { GranaryError } from "../../proto/errors.ts";
import type { Bus } from "./bus.ts";
import type { Replica } from "./replica.ts";

/** A log that is further ahead than can be applied in this time is no current state. */
const APPLY_MS = 10_000;

/**
 * A barrier: resolves when everything that the command log had at the call is applied here.
 * @throws GranaryError UNAVAILABLE when the log does not answer or this copy cannot keep up with it
 */
export async function confirmHead(of: {
  bus: Pick<Bus, "logInfo">;
  replica: Pick<Replica, "health" | "waitForSeq">;
}): Promise<void> {
  const { bus, replica } = of;
  const health = replica.health();
  if (!health.up)
    throw new GranaryError("UNAVAILABLE", `the state here may not be current: ${health.reason}`);
  const head = await bus.logInfo().catch((cause: unknown) => {
    throw new GranaryError(
      "UNAVAILABLE",
      "the head of the command log could not be confirmed",
      {},
      { cause },
    );
  });
  if (await replica.waitForSeq(head.lastSeq, APPLY_MS)) return;
  throw new GranaryError(
    "UNAVAILABLE",
    `the command log ends at ${head.lastSeq}, which was not applied here within ${APPLY_MS / 1_000} s`,
  );
}
