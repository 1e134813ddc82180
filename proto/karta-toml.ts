import type { ZodError } from "zod";
import { GranaryError } from "./errors.ts";
import { lazyZod } from "./lazy-zod.ts";
import { LIMITS } from "./limits.ts";
import { locateKey, readToml, type TomlFault } from "./read-toml.ts";

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
  const read = readToml(bytes);
  if ("reason" in read) throw faultError(read);
  const { text, value } = read;
  schema ??= createSchema();
  const known = Object.keys(schema.shape);
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw schemaError(text, parsed.error);
  const { entry_point, buildpack, name } = parsed.data;
  if (buildpack !== undefined && !isBuildpack(buildpack)) {
    throw new GranaryError(
      "BUILDPACK_UNKNOWN",
      `karta.toml: buildpack ${JSON.stringify(buildpack.slice(0, 80))} is unknown; known are ${BUILDPACKS.join(", ")}`,
      { key: "buildpack", known: BUILDPACKS, ...locateKey(text, ["buildpack"]) },
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

function faultError({ reason, line, column }: TomlFault): GranaryError {
  if (line === undefined || column === undefined)
    return new GranaryError("MANIFEST_INVALID", `karta.toml: ${reason}`);
  return new GranaryError("MANIFEST_INVALID", `karta.toml:${line}:${column}: ${reason}`, { line, column });
}

function schemaError(text: string, error: ZodError): GranaryError {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map(String);
  const { line, column } = locateKey(text, path);
  const key = path.join(".");
  return new GranaryError(
    "MANIFEST_INVALID",
    `karta.toml:${line}:${column}: ${key}: ${issue?.message ?? "is not valid"}`,
    { key, line, column },
  );
}
