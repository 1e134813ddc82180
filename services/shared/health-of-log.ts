/** `busy`: the link stands and the log is only slow to answer: what waits for it comes to its end, what must be current does not. */
export type ReplicaHealth =
  | { readonly up: true }
  | { readonly up: false; readonly reason: string; readonly busy?: true };

const HEAD_CONFIRMED_MS = 2_000;
/** As long as an append is tried: a disk that is slow to sync is no outage, and what it holds up is not lost. */
const BUSY_MS = 10_000;

/** What a log is that was last heard of so long ago: up, slow, or away, which takes a farm out of its balancer. */
export function healthOfLog(silentMs: number): ReplicaHealth {
  if (silentMs <= HEAD_CONFIRMED_MS) return { up: true };
  if (silentMs > BUSY_MS) return { up: false, reason: "the command log does not answer" };
  const silentS = Math.round(silentMs / 1000);
  return { up: false, busy: true, reason: `the command log has not answered for ${silentS} s` };
}
