import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { GranaryError } from "../../proto/errors.ts";
import { parseSettings, type SettingsInput } from "../../proto/settings.ts";

/** The configuration file of a farm: `up --config FILE`. @throws GranaryError CONFIG_INVALID naming the file, and the key or place */
export function readSettingsFile(path: string): SettingsInput {
  let document: unknown;
  try {
    document = parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new GranaryError(
      "CONFIG_INVALID",
      `${path}: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`,
      {},
      { cause },
    );
  }
  return parseSettings(document, path);
}
