import { LIMITS } from "../../../proto/limits.ts";
import type { KeyRange, StateKey, StateRow, StateTx } from "../../shared/state-db-tx.ts";
import { type IdempotencyRow, KEYS, RANGES } from "../../shared/state-keys.ts";

/**
 * Removes a few idempotency keys, command results and short-lived rows that are past their time. A command adds at most two of
 * each, so that a few per command keep up with any rate, and the work of a command stays bounded.
 */
export function trimExpired(tx: StateTx, timeMs: number): void {
  const ended = (row: StateRow<unknown>) => Number(row.key.split("/")[1]) <= timeMs;
  for (const row of firstRows(tx, RANGES.idempotencyExpiry(), ended)) {
    tx.remove(row.key as StateKey<string>);
    const bindingKey = row.value as StateKey<IdempotencyRow>;
    const binding = tx.get(bindingKey);
    // A key that was bound again since has a later row of its own.
    if (binding !== undefined && binding.expires_ms <= timeMs) tx.remove(bindingKey);
  }
  trimResults(tx, RANGES.commandsInOrder(), timeMs - COMMAND_RESULT_MS);
  trimResults(tx, RANGES.briefCommandsInOrder(), timeMs - LIMITS.sessionResultMs);
  // Rows that named their own end.
  for (const row of firstRows(tx, RANGES.rowExpiry(), ended)) {
    tx.remove(row.key as StateKey<readonly string[]>);
    for (const expired of row.value) tx.remove(expired as StateKey<unknown>);
  }
}

function trimResults(
  tx: StateTx,
  range: KeyRange<{ id: string; time_ms: number }>,
  keptFromMs: number,
): void {
  for (const row of firstRows(tx, range, ({ value }) => value.time_ms <= keptFromMs)) {
    tx.remove(row.key as StateKey<{ id: string; time_ms: number }>);
    tx.remove(KEYS.command(row.value.id));
  }
}

/** The first rows, as long as they are past their time. Mostly the first is not: no other is read then. */
function firstRows<T>(tx: StateTx, range: KeyRange<T>, isPast: (row: StateRow<T>) => boolean): StateRow<T>[] {
  const past: StateRow<T>[] = [];
  for (const row of tx.range(range, { limit: ROWS_PER_COMMAND })) {
    if (!isPast(row)) break;
    past.push(row);
  }
  return past;
}

const ROWS_PER_COMMAND = 4;
/** As long as an idempotency key binds: a client that may still repeat a request gets the first answer. */
const COMMAND_RESULT_MS = LIMITS.idempotencyKeyMs;
