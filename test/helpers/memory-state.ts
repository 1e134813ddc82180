import type {
  KeyRange,
  RangeOptions,
  StateKey,
  StateRow,
  StateTx,
} from "../../services/shared/state-db-tx.ts";

/**
 * The state in memory. Values are kept as JSON text, as on disk, so that neither
 * `undefined` members nor shared references behave differently here.
 */
export class MemoryState implements StateTx {
  readonly #rows = new Map<string, string>();
  /** Kept sorted: an insertion moves memory (20 us at 100,000 keys), sorting anew for each range would not scale. */
  readonly #keys: string[] = [];

  /** A copy that shares nothing. */
  static from(rows: Iterable<readonly [key: string, json: string]>): MemoryState {
    const copy = new MemoryState();
    for (const [key, json] of rows) copy.#set(key, json);
    return copy;
  }

  get<T>(key: StateKey<T>): T | undefined {
    const json = this.#rows.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  put<T>(key: StateKey<T>, value: T): void {
    this.#set(key, JSON.stringify(value));
  }

  remove(key: StateKey<unknown>): void {
    if (this.#rows.delete(key)) this.#keys.splice(lowerBound(this.#keys, key), 1);
  }

  *range<T>(range: KeyRange<T>, options: RangeOptions = {}): Iterable<StateRow<T>> {
    const { reverse = false, limit = Number.POSITIVE_INFINITY, after } = options;
    const keys = this.#keys;
    let [from, to] = [lowerBound(keys, range.start), lowerBound(keys, range.end)];
    if (after !== undefined && !reverse)
      from = Math.max(from, lowerBound(keys, after) + (this.#rows.has(after) ? 1 : 0));
    if (after !== undefined && reverse) to = Math.min(to, lowerBound(keys, after));
    const wanted = reverse
      ? keys.slice(Math.max(from, to - limit), to).reverse()
      : keys.slice(from, Math.min(to, from + limit));
    for (const key of wanted) {
      const json = this.#rows.get(key);
      if (json !== undefined) yield { key, value: JSON.parse(json) as T };
    }
  }

  /** Every row as it is stored, in key order. */
  *rows(): Iterable<readonly [key: string, json: string]> {
    for (const key of this.#keys) yield [key, this.#rows.get(key) ?? ""];
  }

  #set(key: string, json: string): void {
    if (!this.#rows.has(key)) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    this.#rows.set(key, json);
  }
}

function lowerBound(sorted: readonly string[], key: string): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
