import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { GranaryError } from "../../proto/errors.ts";
import { parseSettings, type SettingsInput } from "../../proto/settings.ts";

/** The configuration file of a farm: `up --config FILE`. @throws GranaryError CONFIG_INVALID naming the file, and the key or place */
export function readSettingsFile(path: string): SettingsInput {
  let document: unknown;
  try {
    document = parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new GranaryError("CONFIG_INVALID", `${path}${whatIsWrong(cause)}`, { file: path }, { cause });
  }
  return parseSettings(document, path);
}

function whatIsWrong(cause: unknown): string {
  if (cause instanceof TomlError) return `: ${cause.line}:${cause.column}: ${cause.message.split("\n")[0]}`;
  const { code } = cause as NodeJS.ErrnoException;
  return code === "ENOENT" ? ": there is no such file" : ` cannot be read: ${code ?? String(cause)}`;
}
