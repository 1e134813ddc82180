import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { FlagName, VerbName } from "../../proto/verbs.ts";
import type { Settings } from "./config/settings.ts";
import type { ApiClient } from "./http/api-client.ts";
import type { Pasteable } from "./output/for-farm.ts";
import type { Output } from "./output/output.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The flags of one verb, read by their names in the table. */
export interface Flags<F extends string = string> {
  has(name: F): boolean;
  text(name: F): string | undefined;
  list(name: F): readonly string[];
  /** A whole number, not negative. @throws GranaryError USAGE */
  count(name: F): number | undefined;
  /** `90s`, `15m`, `8h`, `7d` in milliseconds. @throws GranaryError USAGE */
  durationMs(name: F): number | undefined;
}

/** What a verb gets. Only main.ts touches the process. */
export interface VerbContext<F extends string = string> {
  readonly args: readonly string[];
  readonly flags: Flags<F>;
  readonly output: Output;
  readonly env: Environment;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Aborts on Ctrl-C. */
  readonly interrupted: AbortSignal;
  /** Flags, environment, files and contexts, resolved. @throws GranaryError CONFIG_INVALID */
  readonly settings: () => Settings;
  readonly api: () => ApiClient;
  readonly pasteable: Pasteable;
  /** The farm of a saved context, with the token that was saved for it. @throws GranaryError NOT_FOUND, CONFIG_INVALID */
  readonly apiOf: (contextName: string) => ApiClient;
}

/** A verb answers the exit code; every failure is thrown. */
export type VerbHandler<N extends VerbName> = (context: VerbContext<FlagName<N>>) => Promise<number>;

/** @param given values by flag name; a flag that is not given falls back to its environment variable, then its default */
export function createFlags(
  given: ReadonlyMap<string, readonly string[]>,
  fallback: (name: string) => string | undefined,
): Flags {
  const text = (name: string): string | undefined => given.get(name)?.[0] ?? fallback(name);
  return {
    has: (name) => given.has(name),
    text,
    list: (name) => given.get(name) ?? [],
    count: (name) => {
      const value = text(name);
      if (value === undefined) return undefined;
      if (!/^[0-9]{1,9}$/.test(value))
        throw new GranaryError("USAGE", `--${name} wants a number, not ${JSON.stringify(value)}`);
      return Number(value);
    },
    durationMs: (name) => {
      const value = text(name);
      if (value === undefined) return undefined;
      const durationMs = parseDurationMs(value);
      if (durationMs === undefined)
        throw new GranaryError(
          "USAGE",
          `--${name} wants a duration such as 90s, 15m or 8h, not ${JSON.stringify(value)}`,
        );
      return durationMs;
    },
  };
}
