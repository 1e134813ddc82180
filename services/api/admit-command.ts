import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { FairShare } from "../shared/fair-share.ts";

/** Of this process: what waits for the log waits in its memory. */
const underWay = new FairShare(LIMITS.commandsAtOnce);

/**
 * Runs what appends a command of a request, unless the org has as many under way as it may: behind more than the log takes in a second or
 * two all would wait for longer than anybody asks, and end as "unknown". @throws GranaryError RATE_LIMITED: certainly not stored
 */
export async function admitCommand<T>(org: Name, append: () => Promise<T>): Promise<T> {
  if (!underWay.take(org, 1))
    throw new GranaryError("RATE_LIMITED", `${org} has as many commands under way as it may`, {
      limit: underWay.limitOf(org),
    });
  try {
    return await append();
  } finally {
    underWay.give(org, 1);
  }
}
