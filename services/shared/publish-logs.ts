import type { LogLine } from "../../proto/publish-log.ts";

/** A log has a few kilobytes; those of running publishes are bounded by the slots, the others are what was cancelled or handed back. */
const LOGS_MAX = 1_000;

/** Logs of the publishes that this process works on: whole once their publish has ended, when they are stored. */
export class PublishLogs {
  readonly #logs = new Map<string, LogLine[]>();
  readonly #listeners = new Set<(publishId: string) => void>();

  lines(publishId: string): readonly LogLine[] {
    return this.#logs.get(publishId) ?? [];
  }

  add(publishId: string, line: LogLine): void {
    const lines = this.#logs.get(publishId) ?? [];
    this.#logs.delete(publishId);
    this.#logs.set(publishId, lines);
    lines.push(line);
    const [oldest] = this.#logs.keys();
    if (this.#logs.size > LOGS_MAX && oldest !== undefined) this.#logs.delete(oldest);
    for (const listener of this.#listeners) listener(publishId);
  }

  /** The log is stored. */
  remove(publishId: string): void {
    this.#logs.delete(publishId);
  }

  /** @returns what stops it */
  onLine(listener: (publishId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
