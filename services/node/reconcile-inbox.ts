import { statSync } from "node:fs";
import { LIMITS } from "../../proto/limits.ts";
import { TERMINAL_STATES } from "../../proto/records.ts";
import { publishIdOf, sessionIdOf } from "../../proto/upload-session.ts";
import type { Store } from "../../store/store.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findPublish } from "../shared/state-queries.ts";

/** An upload that no accept command named for this long never will be: its request has long been answered or cut off. */
const UNNAMED_MS = 3_600_000;

/**
 * Removes uploads whose publish has ended (the node died between the terminal command and the removal), those that were never
 * accepted, and upload sessions that have expired. Uploads of unfinished publishes stay, however long the farm was down.
 */
export async function reconcileInbox(options: {
  store: Store;
  read<T>(body: (view: StateView) => T): T;
  now?: () => number;
}): Promise<void> {
  const { store, read } = options;
  const now = (options.now ?? Date.now)();
  await store.sweepInbox();
  const uploads = new Set(store.listUploads().map(({ id }) => id));
  for (const id of uploads) {
    const publishId = publishIdOf(id) ?? id;
    const sessionId = sessionIdOf(publishId);
    const record = read((view) => findPublish(view, publishId));
    // The parts of a session go together. It may be committed until it expires, however long ago they were written.
    const named = uploads.has(sessionId) ? sessionId : id;
    const waitMs = publishIdOf(named) === undefined ? UNNAMED_MS : UNNAMED_MS + LIMITS.uploadSessionMs;
    const done =
      record === undefined
        ? now - modifiedMs(store.uploadPath(named)) > waitMs
        : TERMINAL_STATES.has(record.state);
    // Both names: under the publish's the store may hold what was committed for it.
    if (done) for (const each of new Set([id, publishId])) await store.removeUpload(each);
  }
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
