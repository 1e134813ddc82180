import { GranaryError } from "../proto/errors.ts";
import { TASK_CELL } from "../proto/worker-tasks.ts";

/**
 * Ends a task whose owner wants it to stop, and keeps its thread: called wherever a task reports progress.
 * @throws GranaryError CANCELLED
 */
export function stopWhenCancelled(cells: Float64Array): void {
  if (cells[TASK_CELL.cancel] === 1) throw new GranaryError("CANCELLED", "the task was cancelled");
}
