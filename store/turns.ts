import { setImmediate } from "node:timers/promises";

/** How long work may hold the event loop: what an activation that comes meanwhile is late by. */
const SLICE_MS = 4;
const ITEMS_PER_LOOK = 64;

let last: Promise<unknown> = Promise.resolve();

/**
 * Resolves in a turn of the event loop of its own, in the order of asking: slices of long work that many do at once come one a turn,
 * and what waits for I/O comes between them. Two slices in one turn would be a turn twice as long.
 */
export function nextTurn(): Promise<unknown> {
  last = last.then(() => setImmediate());
  return last;
}

/**
 * Goes over many items without holding the event loop; what `items` does to find the next one counts as well.
 * @param each ends it with false
 */
export async function inTurns<T>(items: Iterable<T>, each: (item: T) => unknown): Promise<void> {
  await nextTurn();
  let endMs = performance.now() + SLICE_MS;
  let count = 0;
  for (const item of items) {
    if (each(item) === false) return;
    count += 1;
    if (count % ITEMS_PER_LOOK !== 0 || performance.now() < endMs) continue;
    await nextTurn();
    endMs = performance.now() + SLICE_MS;
  }
}
