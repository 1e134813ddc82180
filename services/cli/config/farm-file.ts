import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";

/** What the command line itself reads, each looked for in its directory. */
const OWN_FILES: ReadonlySet<string> = new Set([".granary.toml", "karta.toml"]);

/** The farm's configuration file: the one that is named, else that of GRANARY_CONFIG; undefined for directories and our own files. */
export function farmFile(named: string | undefined, configured: string | undefined): string | undefined {
  if (named === undefined) return configured || undefined;
  const isFile = statSync(named, { throwIfNoEntry: false })?.isFile() === true;
  return isFile && !OWN_FILES.has(path.basename(named)) ? named : undefined;
}

export interface FarmSetting {
  readonly setting: string;
  readonly value: unknown;
  readonly source: string;
}

/**
 * The settings of a farm as `up --config` reads them, each with where it comes from. The schemas are loaded for this alone.
 * @throws GranaryError CONFIG_INVALID
 */
export async function readFarmFile(file: string): Promise<readonly FarmSetting[]> {
  const { readSettingsFile } = await import("../../shared/read-settings-file.ts");
  const { completeSettings, SettingsFile } = await import("../../../proto/settings.ts");
  const input: Readonly<Record<string, unknown>> = { ...readSettingsFile(file) };
  completeSettings(input, availableParallelism());
  return Object.keys(SettingsFile.shape).map((setting) => ({
    setting,
    value: input[setting] ?? null,
    source: input[setting] === undefined ? "default" : file,
  }));
}
