import { type PublishRecord, TERMINAL_STATES } from "../../proto/records.ts";
import type { HttpRequest } from "../shared/http-server.ts";
import type { Applied } from "../shared/replica.ts";
import { findPublish } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

/** Answers the publish when it has ended, or as it is when `waitMs` are over. @throws GranaryError as {@link waitUntil} */
export async function waitForPublish(
  context: ApiContext,
  request: HttpRequest,
  record: PublishRecord,
  waitMs: number,
): Promise<PublishRecord> {
  const latest = (): PublishRecord => context.read((view) => findPublish(view, record.publish_id)) ?? record;
  const { publish_id } = record;
  await waitUntil(
    context,
    request,
    {
      holds: () => TERMINAL_STATES.has(latest().state),
      mayChange: ({ publishes }) => publishes.includes(publish_id),
    },
    waitMs,
  );
  return latest();
}

/** How often those who wait show their token again: one that is revoked is dead within 2 s, also for what it has open. */
export const RECHECK_TOKEN_MS = 500;

/** What somebody waits for. */
export interface Condition {
  holds(): boolean;
  /** Whether a group of commands can have changed that. Asking the state after every group costs every waiter a read of it. */
  mayChange(applied: Applied): boolean;
}

/**
 * Resolves when the condition holds after some applied command, when the time is over, or when the server closes.
 * @throws GranaryError UNAUTHENTICATED when the token is revoked or expires meanwhile
 */
export async function waitUntil(
  context: ApiContext,
  request: HttpRequest,
  condition: Condition,
  waitMs: number,
): Promise<void> {
  if (waitMs <= 0 || condition.holds() || context.closing.aborted) return;
  await new Promise<void>((resolve, reject) => {
    const stopWaiting = (): void => {
      clearTimeout(timer);
      clearInterval(recheck);
      stop();
      context.closing.removeEventListener("abort", finish);
    };
    const finish = (): void => {
      stopWaiting();
      resolve();
    };
    const timer = setTimeout(finish, waitMs);
    const recheck = setInterval(() => {
      try {
        principalOf(context, request);
        // A replica's thread that died after a commit has not told what was in it.
        if (condition.holds()) finish();
      } catch (error) {
        stopWaiting();
        reject(error);
      }
    }, RECHECK_TOKEN_MS);
    const stop = context.replica.onApplied((applied) => {
      if (condition.mayChange(applied) && condition.holds()) finish();
    });
    context.closing.addEventListener("abort", finish);
  });
}
