import { existsSync, readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";
import { WrongValue } from "./check-table.ts";

/**
 * Reads a small TOML file strictly; undefined when there is none.
 * @param check throws WrongValue
 * @throws GranaryError CONFIG_INVALID naming file and key
 */
export function readToml<T>(file: string, check: (value: unknown) => T): T | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readBytes(file);
  const invalid = (what: string, cause?: unknown): GranaryError =>
    new GranaryError("CONFIG_INVALID", `${file}: ${what}`, { file }, { cause });
  if (bytes.byteLength > LIMITS.manifestBytes)
    throw invalid(`has ${bytes.byteLength} bytes, limit ${LIMITS.manifestBytes}`);
  try {
    return check(
      parse(bytes.toString("utf8"), { maxDepth: LIMITS.manifestDepth, unsafeKeyBehaviour: "throw" }),
    );
  } catch (cause) {
    if (cause instanceof WrongValue) throw invalid(cause.message, cause);
    const where =
      cause instanceof TomlError
        ? `${cause.line}:${cause.column}: ${cause.message.split("\n")[0]}`
        : "is not valid TOML";
    throw invalid(where, cause);
  }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new GranaryError("CONFIG_INVALID", `${file} cannot be read`, { file }, { cause });
  }
}
