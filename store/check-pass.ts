import { accountErrors, accountNames } from "./account-errors.ts";
import type { ContentChecker, Finding } from "./check-content.ts";
import { type RootChecker, rootNames } from "./check-roots.ts";
import { ifIntact } from "./if-intact.ts";
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
  /** Told of accounts and roots; the checker tells of the rest. */
  readonly found: (finding: Finding) => void;
  /** Absent: nobody makes roots of this store. */
  readonly roots?: { readonly dir: string; readonly checker: RootChecker };
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

/**
 * One look at everything: all rows in the order of their keys with what they point to, then all segments, the accounts, and the
 * roots that were made of it.
 */
export function* checkPass(options: PassOptions): Generator<PassStep, void, undefined> {
  const { from = "", subset, index, found } = options;
  if (!from.startsWith(ROOTS)) {
    const canBeWalked = from.startsWith(SEGMENTS) || (yield* checkRows(options));
    if (canBeWalked) yield* checkSegments(options);
    const errors = (subset?.part ?? 0) === 0 ? accountErrors(index) : undefined;
    if (errors !== undefined) for (const name of accountNames(errors)) found({ kind: "account", name });
  }
  yield* checkRoots(options);
}

/**
 * Page by page, so that no snapshot is held for the hours that a large store takes. Answers whether all rows could be walked: an index
 * that is out of order has to be made anew, which verifies all content.
 */
function* checkRows({
  index,
  checker,
  subset,
  found,
  from: cursor,
}: PassOptions): Generator<PassStep, boolean> {
  let from: Uint8Array = cursor === undefined ? Buffer.alloc(1) : keyAfter(Buffer.from(cursor, "hex"));
  for (;;) {
    index.refresh();
    const page = ifIntact(() => index.rows({ from, to: ROWS_END, limit: PAGE_ROWS }));
    if (page === undefined) {
      found({ kind: "row", name: Buffer.from(from).toString("hex") });
      return false;
    }
    const last = page.at(-1);
    if (last === undefined) return true;
    // In the page's own snapshot: what a walk meets and a look-up does not is as good as gone.
    for (const { key } of page)
      if (index.get(key) === undefined) found({ kind: "row", name: key.toString("hex") });
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

function* checkRoots({ roots, found, subset, from = "" }: PassOptions): Generator<PassStep> {
  const done = from.startsWith(ROOTS) ? from.slice(ROOTS.length) : "";
  for (const name of roots === undefined ? [] : rootNames(roots.dir)) {
    const part = Number.parseInt(name.slice(-4), 16);
    if (name <= done || (subset !== undefined && part % subset.of !== subset.part)) continue;
    for (const path of roots?.checker.check(name) ?? []) found({ kind: "root", name: path });
    yield { cursor: `${ROOTS}${name}`, content: false };
  }
}

const SEGMENTS = "segment:";
const ROOTS = "root:";
