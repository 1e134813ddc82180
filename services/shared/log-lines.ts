import { writeSync } from "node:fs";

/** Lines that wait for a reader; about 4,000 requests. More are dropped and counted: a slow reader must neither stop a farm nor fill it. */
const WAITING_MAX_CHARACTERS = 1_048_576;
const RETRY_MS = 20;
const WARN = 40;

/** Where pino writes: it sets `lastLevel` before each line. */
export interface LogLines {
  lastLevel: number;
  write(line: string): void;
  /** Writes what waits, as far as it is taken at once. */
  flush(): void;
}

/**
 * Log lines to a file descriptor, those of one turn of the event loop in one write, warnings and errors with all before them at once. A
 * pipe whose reader is slow gets them later: a writer that waited for it would stop HTTP (pino's own synchronous one sleeps 100 ms each time;
 * with 100 session starts a second and a busy reader that, and a write per line, was a fifth of the main thread's time).
 */
export function logLines(
  fd: number,
  write: (fd: number, bytes: Buffer) => number = (to, bytes) => writeSync(to, bytes),
): LogLines {
  let waiting: string[] = [];
  let characters = 0;
  let dropped = 0;
  /** The rest of a write that was taken in part. */
  let rest: Buffer | undefined;
  let scheduled = false;

  const later = (schedule: (call: () => void) => unknown): void => {
    if (scheduled) return;
    scheduled = true;
    schedule(() => {
      scheduled = false;
      lines.flush();
    });
  };
  const retry = (): void => later((call) => setTimeout(call, RETRY_MS).unref());

  const lines: LogLines & Record<symbol, unknown> = {
    [Symbol.for("pino.metadata")]: true,
    lastLevel: 0,
    write(line) {
      if (characters + line.length > WAITING_MAX_CHARACTERS) {
        dropped += 1;
        return;
      }
      waiting.push(line);
      characters += line.length;
      if (lines.lastLevel >= WARN) lines.flush();
      else later(setImmediate);
    },
    flush() {
      while (rest !== undefined || waiting.length > 0) {
        if (rest === undefined) {
          const note = dropped > 0 ? `{"level":40,"msg":"${dropped} lines of the log were dropped"}\n` : "";
          rest = Buffer.from(waiting.join("") + note);
          [waiting, characters, dropped] = [[], 0, 0];
        }
        try {
          const taken = write(fd, rest);
          rest = taken < rest.byteLength ? rest.subarray(taken) : undefined;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === "EAGAIN") return retry();
          // Nobody reads any more: there is no place left to say so.
          rest = undefined;
        }
      }
    },
  };
  return lines;
}
