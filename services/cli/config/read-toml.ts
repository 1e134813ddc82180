import { existsSync, readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import type { z } from "zod";
import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";

/**
 * Reads a small TOML file against a strict schema; undefined when there is none.
 * @throws GranaryError CONFIG_INVALID naming file and key
 */
export function readToml<T>(file: string, schema: z.ZodType<T>): T | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readBytes(file);
  const invalid = (what: string, cause?: unknown): GranaryError =>
    new GranaryError("CONFIG_INVALID", `${file}: ${what}`, { file }, { cause });
  if (bytes.byteLength > LIMITS.manifestBytes)
    throw invalid(`has ${bytes.byteLength} bytes, limit ${LIMITS.manifestBytes}`);
  let value: unknown;
  try {
    value = parse(bytes.toString("utf8"), { maxDepth: LIMITS.manifestDepth, unsafeKeyBehaviour: "throw" });
  } catch (cause) {
    const where =
      cause instanceof TomlError
        ? `${cause.line}:${cause.column}: ${cause.message.split("\n")[0]}`
        : "is not valid TOML";
    throw invalid(where, cause);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.path.map(String).join(".");
  throw invalid(`${key ? `${key}: ` : ""}${issue?.message ?? "is not valid"}`);
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new GranaryError("CONFIG_INVALID", `${file} cannot be read`, { file }, { cause });
  }
}
