import { LIMITS } from "../../proto/limits.ts";
import { nextTurn } from "../../store/turns.ts";
import type { Page, PageOptions } from "../shared/state-queries.ts";

/**
 * A page of those rows of a list that fit: goes on behind what was looked at, a turn of the event loop each time, until the page is full,
 * the list is over, or {@link LIMITS.scansPerPage} turns are. The rows have to be such that only new ones come, at the end or the front.
 */
export async function fullPage<T>(
  asked: PageOptions & { readonly limit: number },
  list: (part: PageOptions) => Page<T>,
): Promise<Page<T>> {
  let page = list(asked);
  for (let scans = 1; scans < LIMITS.scansPerPage; scans++) {
    const { items, next_cursor: cursor } = page;
    if (cursor === null || items.length >= asked.limit) break;
    await nextTurn();
    const more = list({ limit: asked.limit - items.length, cursor });
    page = { items: [...items, ...more.items], next_cursor: more.next_cursor };
  }
  return page;
}
