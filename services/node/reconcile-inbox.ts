import { statSync } from "node:fs";
import { TERMINAL_STATES } from "../../proto/records.ts";
import type { Store } from "../../store/store.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findPublish } from "../shared/state-queries.ts";

/** An upload that no accept command named for this long never will be: its request has long been answered or cut off. */
const UNNAMED_MS = 3_600_000;

/**
 * Removes uploads whose publish has ended (the node died between the terminal command and the removal) and those that were
 * never accepted. Uploads of unfinished publishes stay, however long the farm was down.
 */
export async function reconcileInbox(options: {
  store: Store;
  read<T>(body: (view: StateView) => T): T;
  now?: () => number;
}): Promise<void> {
  const now = (options.now ?? Date.now)();
  for (const upload of options.store.listUploads()) {
    const record = options.read((view) => findPublish(view, upload.id));
    const done =
      record === undefined
        ? now - modifiedMs(options.store.uploadPath(upload.id)) > UNNAMED_MS
        : TERMINAL_STATES.has(record.state);
    if (done) await options.store.removeUpload(upload.id);
  }
}

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
