import { setImmediate as nextTurn } from "node:timers/promises";
import { previewChannel } from "../../proto/channel.ts";
import type { Name } from "../../proto/names.ts";
import type { PreviewRecord, ReleaseRecord } from "../../proto/records.ts";
import type { GcRoot } from "../../store/gc-root.ts";
import type { KeyRange, StateView } from "./state-db-tx.ts";
import { type PublishLogRow, RANGES } from "./state-keys.ts";

/** Something of the state that keeps content. */
export interface ContentRoot {
  readonly org: Name;
  readonly project: Name;
  /** `v3` or `preview/NAME`. */
  readonly ref: string;
  readonly artifact: ReleaseRecord | PreviewRecord;
}

/** Rows read in one go: a millisecond or two on the thread that serves HTTP. */
const ROWS_PER_TURN = 500;

/**
 * Every living preview and every kept release of the farm. Read a part at a time, between which the state may move on. Nothing
 * that has to stay slips through: previews come first, so that one which is promoted meanwhile was seen as a preview; a release
 * or preview that a publish makes meanwhile is held by that publish's lease, which outlives this read.
 */
export async function* contentRoots(
  read: <T>(body: (view: StateView) => T) => T,
): AsyncGenerator<ContentRoot> {
  for await (const record of rowsOf(read, RANGES.allPreviews())) {
    const { org, project, name } = record;
    if (record.state === "ready") yield { org, project, ref: previewChannel(name), artifact: record };
  }
  for await (const record of rowsOf(read, RANGES.allReleases())) {
    const { org, project, version } = record;
    if (record.state !== "retired") yield { org, project, ref: version, artifact: record };
  }
}

/** Logs that are kept; read like {@link contentRoots}, and held by their publish's lease until their row is there. */
export function logRoots(read: <T>(body: (view: StateView) => T) => T): AsyncGenerator<PublishLogRow> {
  return rowsOf(read, RANGES.publishLogs());
}

/** All of it as the store's garbage collection knows it: what is not named by these may go. */
export async function* gcRoots(
  read: <T>(body: (view: StateView) => T) => T,
): AsyncGenerator<GcRoot, void, undefined> {
  for await (const { artifact } of contentRoots(read)) {
    yield { digest: artifact.manifest.digest, kind: "blob" };
    yield { digest: artifact.config.digest, kind: "blob" };
    for (const { digest } of artifact.layers) yield { digest, kind: "layer" };
    yield { digest: artifact.tree, kind: "tree" };
  }
  for await (const { digest } of logRoots(read)) yield { digest, kind: "blob" };
}

async function* rowsOf<T>(
  read: <R>(body: (view: StateView) => R) => R,
  range: KeyRange<T>,
): AsyncGenerator<T> {
  let after: string | undefined;
  for (;;) {
    const from = after;
    const rows = read((view) => [
      ...view.range(range, { limit: ROWS_PER_TURN, ...(from === undefined ? {} : { after: from }) }),
    ]);
    for (const { value } of rows) yield value;
    if (rows.length < ROWS_PER_TURN) return;
    after = rows.at(-1)?.key;
    await nextTurn();
  }
}
