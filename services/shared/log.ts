import { type Logger, pino } from "pino";
import { logLines } from "./log-lines.ts";

export type Log = Logger;

/** JSON lines on stderr (stdout belongs to the answers of the CLI). Tokens and secrets are redacted by name. */
export function createLog(options: { level: string; name: string }): Log {
  const lines = logLines(2);
  process.once("exit", () => lines.flush());
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: {
        paths: ["token", "*.token", "authorization", "*.authorization", "seed", "*.seed"],
        censor: "[redacted]",
      },
    },
    lines,
  );
}
