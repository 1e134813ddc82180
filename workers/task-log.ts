import { encodeLog, LogLines, type SealedLog } from "../proto/publish-log.ts";
import type { ArtifactRecord, PublishStats } from "../proto/records.ts";
import type { SealLogResult, SealLogTask, TaskLog } from "../proto/worker-tasks.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";

/** Often enough to see that it moves; a publish of ten minutes gets 300 lines. */
const PROGRESS_MS = 2_000;

/** The log of a publish while a thread works on it: lines are told as they are written, and become a blob of the task. */
export class TaskLogWriter {
  readonly #lines: LogLines;
  #toldMs = performance.now();

  constructor(log: TaskLog) {
    this.#lines = new LogLines(log.lines, {
      attempt: log.attempt,
      now: Date.now,
      onLine: (line) => log.port.postMessage(line),
    });
  }

  info(text: string): void {
    this.#lines.add("info", text);
  }

  /** Says now and then how far the task is. */
  progress(text: () => string): void {
    const now = performance.now();
    if (now - this.#toldMs < PROGRESS_MS) return;
    this.#toldMs = now;
    this.info(text());
  }

  /** What the publish made, and last of all the log itself: nothing can be added behind it. */
  seal(writer: TaskWriter, made: { artifact: ArtifactRecord; stats: PublishStats }): SealedLog {
    const { artifact, stats } = made;
    for (const warning of artifact.warnings) this.#lines.add("warn", warning);
    this.info(
      `${count(artifact.file_count)} files, ${count(artifact.size_bytes)} bytes; tree ${artifact.tree}`,
    );
    this.info(`build: ${artifact.execution}, ${artifact.build_reason}`);
    this.info(
      `content: ${count(stats.new_blobs)} new (${count(stats.new_blob_bytes)} bytes), ${count(stats.reused_blobs)} reused (${count(stats.reused_blob_bytes)} bytes)`,
    );
    this.info(`layers: ${stats.new_layers} new, ${stats.reused_layers} reused`);
    this.info(`image ${artifact.image_digest}`);
    const laps = Object.entries(stats.timings_ms).map(([step, ms]) => `${step} ${ms} ms`);
    this.info(`took ${laps.join(", ")}`);
    return putLog(writer, this.#lines.lines);
  }
}

/** Stores a log on its own: that of a publish that failed. */
export function sealLog(task: SealLogTask, store: ThreadStore): SealLogResult {
  const writer = store.beginTask(task.cell);
  try {
    const log = putLog(writer, task.lines);
    return { log, commit: writer.finish() };
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function putLog(writer: TaskWriter, lines: SealLogTask["lines"]): SealedLog {
  const bytes = encodeLog(lines);
  return { digest: writer.putBlob(bytes), size: bytes.byteLength };
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}
