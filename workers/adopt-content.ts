import fs from "node:fs";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { type AdoptResult, type AdoptTask, TASK_CELL } from "../proto/worker-tasks.ts";
import { asGranaryError } from "../store/as-granary-error.ts";
import type { BlobWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { stopWhenCancelled } from "./stop-when-cancelled.ts";

/**
 * A file as one blob, read a MiB at a time.
 * @throws GranaryError DIGEST_INVALID when its bytes are others; STORE_FULL, STORE_IO, CANCELLED
 */
export function adoptContent(task: AdoptTask, store: ThreadStore): AdoptResult {
  const writer = store.beginTask(task.cell);
  try {
    const blob = writer.beginBlob(task.size);
    copy(task, blob);
    const digest = blob.end();
    if (digest !== task.digest)
      throw new GranaryError("DIGEST_INVALID", `the content has ${digest}, not ${task.digest}`);
    return { commit: writer.finish() };
  } catch (error) {
    writer.abandon();
    throw asGranaryError(error);
  }
}

function copy({ path, size, cell, digest }: AdoptTask, blob: BlobWriter): void {
  const cells = new Float64Array(cell);
  const chunk = Buffer.allocUnsafeSlow(LIMITS.crcChunkBytes);
  const fd = fs.openSync(path, "r");
  try {
    for (let at = 0; at < size; ) {
      stopWhenCancelled(cells);
      const read = fs.readSync(fd, chunk, 0, Math.min(chunk.byteLength, size - at), at);
      if (read === 0)
        throw new GranaryError("STORE_IO", `what came of ${digest} ends at ${at} of ${size} bytes`);
      blob.write(chunk.subarray(0, read));
      at += read;
      cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
    }
  } finally {
    fs.closeSync(fd);
  }
}
