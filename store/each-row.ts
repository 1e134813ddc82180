import type { IndexReader } from "./index-db.ts";
import { keyAfter, rangeOf } from "./index-keys.ts";

const PAGE_ROWS = 1_000;

/**
 * All rows of a kind, page by page, each as fresh as its page: no snapshot is held for as long as a large index takes.
 * @param options.atOnce all of the snapshot that the reader has, which lmdb keeps until it is refreshed or the event loop turns: a second for 10^6 rows
 */
export function eachRow(
  index: IndexReader,
  row: number,
  take: (key: Buffer, value: Buffer) => void,
  { atOnce = false }: { atOnce?: boolean } = {},
): void {
  let { from, to } = rangeOf(row);
  for (;;) {
    if (!atOnce) index.refresh();
    const page = index.rows({ from, to, limit: PAGE_ROWS });
    const last = page.at(-1);
    if (last === undefined) return;
    for (const { key, value } of page) take(key, value);
    from = keyAfter(last.key);
    to = rangeOf(row).to;
  }
}
