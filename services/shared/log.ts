import { type Logger, pino } from "pino";

export type Log = Logger;

/** JSON lines on stderr (stdout belongs to the answers of the CLI). Tokens and secrets are redacted by name. */
export function createLog(options: { level: string; name: string }): Log {
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: {
        paths: ["token", "*.token", "authorization", "*.authorization", "seed", "*.seed"],
        censor: "[redacted]",
      },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
