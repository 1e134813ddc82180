import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { type LogLevel, type LogLine, LogLines, type SealedLog } from "../../proto/publish-log.ts";
import type { TaskLog } from "../../proto/worker-tasks.ts";
import type { Store } from "../../store/store.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import type { PublishLogs } from "../shared/publish-logs.ts";

/** Storing a few kilobytes. */
const SEAL_LIMIT_MS = 30_000;

/** The log of one attempt at a publish: what the node writes, and what its threads write while they have it. */
export class AttemptLog {
  readonly #logs: PublishLogs;
  readonly #publishId: string;
  readonly #attempt: number;

  constructor(logs: PublishLogs, about: { publishId: string; attempt: number }) {
    this.#logs = logs;
    this.#publishId = about.publishId;
    this.#attempt = about.attempt;
  }

  get lines(): readonly LogLine[] {
    return this.#logs.lines(this.#publishId);
  }

  add(level: LogLevel, text: string): void {
    const lines = new LogLines(this.lines, {
      attempt: this.#attempt,
      now: Date.now,
      onLine: (line) => this.#logs.add(this.#publishId, line),
    });
    lines.add(level, text);
  }

  /** Lets a thread go on with the log until `run` has ended, however it ends. */
  async during<T>(run: (log: TaskLog, port: MessagePort) => Promise<T>): Promise<T> {
    const { port1: ours, port2: theirs } = new MessageChannel();
    ours.on("message", (line: LogLine) => this.#logs.add(this.#publishId, line));
    ours.unref();
    try {
      return await run({ attempt: this.#attempt, lines: this.lines, port: theirs }, theirs);
    } finally {
      // What a thread said last may still be on its way, also when it has died since.
      for (let rest = receiveMessageOnPort(ours); rest !== undefined; rest = receiveMessageOnPort(ours))
        this.#logs.add(this.#publishId, rest.message as LogLine);
      ours.close();
    }
  }

  /** Stores the log as it is. @throws GranaryError STORE_*, ARCHIVE_WORKER_DIED */
  async seal({ pool, store }: { pool: WorkerPool; store: Store }): Promise<SealedLog> {
    const outcome = await pool.run(
      "sealLog",
      { lines: this.lines },
      { signal: new AbortController().signal, stallMs: SEAL_LIMIT_MS, deadlineMs: SEAL_LIMIT_MS },
    );
    if (!outcome.ok) throw new Error(outcome.error.message);
    await store.commit(outcome.value.commit, { heldBy: this.#publishId });
    return outcome.value.log;
  }
}
