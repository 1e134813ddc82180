import type { Digest } from "./digest.ts";
import { GranaryError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

export type LogLevel = "info" | "warn" | "error";

/** One line of what a publish was told about itself while it ran. */
export interface LogLine {
  /** The attempt that wrote it; 0: before the first. */
  readonly attempt: number;
  /** Its place within the attempt, from 1. */
  readonly n: number;
  /** RFC 3339. */
  readonly at: string;
  readonly level: LogLevel;
  readonly text: string;
}

/** A log that is stored: the blob that {@link encodeLog} made. */
export interface SealedLog {
  readonly digest: Digest;
  readonly size: number;
}

/** What a publish became is told behind all lines of all attempts. */
export const END_OF_LOG = { attempt: 999_999, n: 1 } as const;

/** Lines of one attempt, bounded in number and bytes: what comes when it is full is left out, which its last line says. */
export class LogLines {
  readonly #lines: LogLine[];
  readonly #options: { attempt: number; now: () => number; onLine: (line: LogLine) => void };
  #bytes: number;
  #n: number;
  #full: boolean;

  /** @param before lines that are there already, of this attempt and of those before it */
  constructor(
    before: readonly LogLine[],
    options: { attempt: number; now: () => number; onLine: (line: LogLine) => void },
  ) {
    this.#lines = [...before];
    this.#options = options;
    this.#bytes = before.reduce((sum, line) => sum + line.text.length, 0);
    this.#n = before.filter((line) => line.attempt === options.attempt).length;
    this.#full = before.length > LIMITS.logLines;
  }

  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  add(level: LogLevel, text: string): void {
    if (this.#full) return;
    const cut = text.length > LIMITS.logLineLength ? `${text.slice(0, LIMITS.logLineLength)}...` : text;
    this.#bytes += cut.length;
    this.#full = this.#lines.length >= LIMITS.logLines || this.#bytes > LIMITS.logLength;
    if (this.#full) this.#push("warn", "the log is full: later lines are left out");
    else this.#push(level, cut);
  }

  #push(level: LogLevel, text: string): void {
    const { attempt, now, onLine } = this.#options;
    this.#n += 1;
    const line = { attempt, n: this.#n, at: new Date(now()).toISOString(), level, text };
    this.#lines.push(line);
    onLine(line);
  }
}

/** One JSON object a line. */
export function encodeLog(lines: readonly LogLine[]): Buffer {
  return Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** @param bytes of {@link encodeLog}, vouched for by their digest */
export function parseLog(bytes: Uint8Array): LogLine[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine);
}

/** Place of a line, behind which reading goes on. */
export type LogCursor = Pick<LogLine, "attempt" | "n">;

export function formatLogCursor({ attempt, n }: LogCursor): string {
  return `${attempt}-${n}`;
}

/** @throws GranaryError USAGE */
export function parseLogCursor(text: string): LogCursor {
  const match = /^([0-9]{1,6})-([0-9]{1,6})$/.exec(text);
  if (match === null)
    throw new GranaryError("USAGE", `not a cursor of a log: ${JSON.stringify(text.slice(0, 40))}`, {
      pointer: "?cursor",
    });
  return { attempt: Number(match[1]), n: Number(match[2]) };
}

export function isBehindInLog(line: LogCursor, cursor: LogCursor): boolean {
  return line.attempt > cursor.attempt || (line.attempt === cursor.attempt && line.n > cursor.n);
}
