import type { ContentChecker } from "./check-content.ts";
import type { IndexReader } from "./index-db.ts";
import { keyAfter } from "./index-keys.ts";
import { segmentEnds } from "./walk-segment.ts";

const PAGE_ROWS = 1_000;
/** Behind the last key: a row of a kind that does not exist is found too. */
const ROWS_END = Buffer.alloc(64, 0xff);

/** Part `part` (0 to `of` - 1) of the content; all parts together are everything. */
export interface Subset {
  readonly part: number;
  readonly of: number;
}

export interface PassOptions {
  readonly index: IndexReader;
  readonly checker: ContentChecker;
  readonly subset?: Subset;
  /** A {@link PassStep.cursor}: where an earlier pass was ended. */
  readonly from?: string;
}

export interface PassStep {
  /** Where to go on behind this step; whatever GC and publishes do meanwhile. */
  readonly cursor: string;
  /** It was a blob or a layer. */
  readonly content: boolean;
}

/** One look at everything: all rows in the order of their keys with what they point to, then all segments. */
export function* checkPass(options: PassOptions): Generator<PassStep, void, undefined> {
  const { from = "" } = options;
  if (!from.startsWith(SEGMENTS)) yield* checkRows(options);
  yield* checkSegments(options);
}

/** Page by page, so that no snapshot is held for the hours that a large store takes. */
function* checkRows({ index, checker, subset, from: cursor }: PassOptions): Generator<PassStep> {
  let from: Uint8Array = cursor === undefined ? Buffer.alloc(1) : keyAfter(Buffer.from(cursor, "hex"));
  for (;;) {
    index.refresh();
    const page = index.rows({ from, to: ROWS_END, limit: PAGE_ROWS });
    const last = page.at(-1);
    if (last === undefined) return;
    for (const { key, value } of page) {
      if (subset !== undefined && (key[1] ?? 0) % subset.of !== subset.part) continue;
      const content = checker.row(key, value);
      yield { cursor: key.toString("hex"), content };
    }
    from = keyAfter(last.key);
  }
}

function* checkSegments({ index, checker, subset, from = "" }: PassOptions): Generator<PassStep> {
  const done = from.startsWith(SEGMENTS) ? Number(from.slice(SEGMENTS.length)) : 0;
  for (const [id, end] of [...segmentEnds(index)].sort(([a], [b]) => a - b)) {
    if (id <= done || (subset !== undefined && id % subset.of !== subset.part)) continue;
    checker.segment(id, end);
    yield { cursor: `${SEGMENTS}${id}`, content: false };
  }
}

const SEGMENTS = "segment:";
