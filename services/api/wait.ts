import { type PublishRecord, TERMINAL_STATES } from "../../proto/records.ts";
import { findPublish } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";

/** Answers the publish when it has ended, or as it is when `waitMs` are over. */
export async function waitForPublish(
  context: ApiContext,
  record: PublishRecord,
  waitMs: number,
): Promise<PublishRecord> {
  const latest = (): PublishRecord => context.read((view) => findPublish(view, record.publish_id)) ?? record;
  await waitUntil(context, () => TERMINAL_STATES.has(latest().state), waitMs);
  return latest();
}

/** Resolves when `done` holds after some applied command, when the time is over, or when the server closes. */
export async function waitUntil(context: ApiContext, done: () => boolean, waitMs: number): Promise<void> {
  if (waitMs <= 0 || done() || context.closing.aborted) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      stop();
      context.closing.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, waitMs);
    const stop = context.replica.onApplied(() => {
      if (done()) finish();
    });
    context.closing.addEventListener("abort", finish);
  });
}
