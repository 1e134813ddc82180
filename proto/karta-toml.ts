import { parse, TomlError } from "smol-toml";
import type { ZodError } from "zod";
import { GranaryError } from "./errors.ts";
import { lazyZod } from "./lazy-zod.ts";
import { LIMITS } from "./limits.ts";

/**
 * karta.toml: optional build hints at the root of an application. Unknown keys and tables are kept and warned about, a known
 * key with a wrong type is an error that names key, line and column (releases contract).
 */
export const KARTA_FILE = "karta.toml";
export const BUILDPACKS = ["python", "node"] as const;
export type Buildpack = (typeof BUILDPACKS)[number];

export interface KartaManifest {
  readonly entryPoint?: string;
  readonly buildpack?: Buildpack;
  readonly name?: string;
  readonly warnings: readonly string[];
}

const ENTRY_POINT =
  /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;

function createSchema() {
  const { z } = lazyZod();
  return z.looseObject({
    entry_point: z
      .string()
      .max(255)
      .regex(ENTRY_POINT, "must be module:attribute, such as app:app")
      .optional(),
    buildpack: z.string().optional(),
    name: z.string().max(255).optional(),
    deploy: z.unknown().optional(),
    harness: z.looseObject({ type: z.string().optional(), version: z.string().optional() }).optional(),
    env: z
      .record(
        z.string(),
        z.looseObject({ required: z.boolean().optional(), description: z.string().optional() }),
      )
      .optional(),
    environment: z.looseObject({ setup: z.union([z.string(), z.array(z.string())]).optional() }).optional(),
    genui: z.looseObject({}).optional(),
    artifacts: z.looseObject({}).optional(),
  });
}

let schema: ReturnType<typeof createSchema> | undefined;

/** @throws GranaryError MANIFEST_TOO_LARGE, MANIFEST_INVALID, BUILDPACK_UNKNOWN */
export function parseKartaToml(bytes: Uint8Array): KartaManifest {
  if (bytes.byteLength > LIMITS.manifestBytes) {
    throw new GranaryError(
      "MANIFEST_TOO_LARGE",
      `karta.toml has ${bytes.byteLength} bytes, limit ${LIMITS.manifestBytes}`,
      {
        actual: bytes.byteLength,
        limit: LIMITS.manifestBytes,
      },
    );
  }
  const text = decode(bytes);
  schema ??= createSchema();
  const known = Object.keys(schema.shape);
  const parsed = schema.safeParse(parseToml(text));
  if (!parsed.success) throw schemaError(text, parsed.error);
  const { entry_point, buildpack, name } = parsed.data;
  if (buildpack !== undefined && !isBuildpack(buildpack)) {
    throw new GranaryError(
      "BUILDPACK_UNKNOWN",
      `karta.toml: buildpack ${JSON.stringify(buildpack.slice(0, 80))} is unknown; known are ${BUILDPACKS.join(", ")}`,
      { key: "buildpack", known: BUILDPACKS, ...locate(text, ["buildpack"]) },
    );
  }
  const unknown = Object.keys(parsed.data).filter((key) => !known.includes(key));
  return {
    ...(entry_point === undefined ? {} : { entryPoint: entry_point }),
    ...(buildpack === undefined ? {} : { buildpack }),
    ...(name === undefined ? {} : { name }),
    warnings: unknown
      .slice(0, LIMITS.warnings)
      .map((key) => `karta.toml: unknown key ${JSON.stringify(key.slice(0, 80))} was ignored`),
  };
}

function isBuildpack(text: string): text is Buildpack {
  return (BUILDPACKS as readonly string[]).includes(text);
}

function decode(bytes: Uint8Array): string {
  try {
    // A byte order mark is not TOML: `ignoreBOM` keeps it in the text, where the parser refuses it.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new GranaryError("MANIFEST_INVALID", "karta.toml is not valid UTF-8", {}, { cause });
  }
}

function parseToml(text: string): unknown {
  try {
    return parse(text, { maxDepth: LIMITS.manifestDepth, unsafeKeyBehaviour: "throw" });
  } catch (cause) {
    if (cause instanceof TomlError) {
      const reason = cause.message.split("\n")[0] ?? "not valid TOML";
      throw new GranaryError(
        "MANIFEST_INVALID",
        `karta.toml:${cause.line}:${cause.column}: ${reason}`,
        { line: cause.line, column: cause.column },
        { cause },
      );
    }
    // A 100k-part dotted key overflows the parser's stack with a RangeError.
    throw new GranaryError("MANIFEST_INVALID", "karta.toml is nested too deeply to be read", {}, { cause });
  }
}

function schemaError(text: string, error: ZodError): GranaryError {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map(String);
  const { line, column } = locate(text, path);
  const key = path.join(".");
  return new GranaryError(
    "MANIFEST_INVALID",
    `karta.toml:${line}:${column}: ${key}: ${issue?.message ?? "is not valid"}`,
    { key, line, column },
  );
}

/** Finds where a key stands; TOML's parser does not keep positions. Falls back to the nearest enclosing table. */
function locate(text: string, path: readonly string[]): { line: number; column: number } {
  let table: string[] = [];
  let best = { line: 1, column: 1, depth: 0 };
  for (const [index, raw] of text.split("\n").entries()) {
    const header = /^\s*\[\[?([^\]]+)\]\]?/.exec(raw);
    const assignment = header ? null : /^(\s*)([^=#]+?)\s*=/.exec(raw);
    const keys = keyParts(header?.[1] ?? assignment?.[2] ?? "");
    if (keys.length === 0) continue;
    if (header) table = keys;
    const full = header ? table : [...table, ...keys];
    const depth = full.every((key, at) => key === path[at]) ? full.length : 0;
    if (depth > best.depth)
      best = { line: index + 1, column: (assignment?.[1]?.length ?? raw.indexOf("[")) + 1, depth };
  }
  return { line: best.line, column: best.column };
}

function keyParts(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
}
