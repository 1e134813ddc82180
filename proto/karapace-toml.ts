import { GranaryError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { readToml } from "./read-toml.ts";
import { type Refuse, TomlTable } from "./toml-table.ts";

/**
 * karapace.toml, version 1: what an environment is made of. Strict where karta.toml is lenient: an unknown key at any level is an error.
 * What comes out is normalized: trimmed, sorted by UTF-8 bytes, without duplicates, so that equal environments are equal manifests.
 */
export const KARAPACE_FILE = "karapace.toml";
export const BACKENDS = ["namespace", "oci", "mock"] as const;
export type Backend = (typeof BACKENDS)[number];

export interface Mount {
  readonly label: string;
  readonly hostPath: string;
  readonly containerPath: string;
}

export interface KarapaceManifest {
  readonly baseImage: string;
  readonly packages: readonly string[];
  readonly apps: readonly string[];
  readonly gpu: boolean;
  readonly audio: boolean;
  readonly mounts: readonly Mount[];
  readonly backend: Backend;
  readonly networkIsolation: boolean;
  /** 64 bits, more than a number holds. */
  readonly cpuShares?: bigint;
  readonly memoryLimitMb?: bigint;
}

/** @throws GranaryError MANIFEST_TOO_LARGE, ENVIRONMENT_INVALID with line and column */
export function parseKarapaceToml(bytes: Uint8Array): KarapaceManifest {
  if (bytes.byteLength > LIMITS.manifestBytes) {
    throw new GranaryError(
      "MANIFEST_TOO_LARGE",
      `${KARAPACE_FILE} has ${bytes.byteLength} bytes, limit ${LIMITS.manifestBytes}`,
      { actual: bytes.byteLength, limit: LIMITS.manifestBytes },
    );
  }
  const read = readToml(bytes, { integersAsBigInt: true });
  if ("reason" in read) throw invalid(`failed to parse manifest: ${read.reason}`, read);
  const root = new TomlTable({ ...read, refuse });
  const version = root.integer("manifest_version");
  const base = root.table("base");
  const image = base?.string("image");
  base?.end();
  const system = root.table("system");
  const packages = system?.strings("packages");
  system?.end();
  const gui = root.table("gui");
  const apps = gui?.strings("apps");
  gui?.end();
  const hardware = root.table("hardware");
  const gpu = hardware?.boolean("gpu");
  const audio = hardware?.boolean("audio");
  hardware?.end();
  const mounts = root.table("mounts");
  const specs = mounts?.allStrings() ?? [];
  const runtime = root.table("runtime");
  const backend = runtime?.string("backend");
  const networkIsolation = runtime?.boolean("network_isolation");
  const limits = runtime?.table("resource_limits");
  const cpuShares = limits?.unsigned("cpu_shares");
  const memoryLimitMb = limits?.unsigned("memory_limit_mb");
  limits?.end();
  runtime?.end();
  root.end();

  root.required("manifest_version", version);
  const baseImage = trim(root.required("base", base).required("image", image));
  if (version !== 1n)
    throw root.invalid(`unsupported manifest_version: ${version}, expected 1`, "manifest_version");
  if (baseImage === "") throw base?.invalid("base.image must not be empty", "image");
  return {
    baseImage,
    packages: normalizeList(packages),
    apps: normalizeList(apps),
    gpu: gpu ?? false,
    audio: audio ?? false,
    mounts: specs
      .toSorted(([a], [b]) => compareBytes(a, b))
      .map(([label, spec]) => parseMount(mounts as TomlTable, label, spec))
      .toSorted((a, b) => compareBytes(a.label, b.label)),
    backend: parseBackend(runtime, backend),
    networkIsolation: networkIsolation ?? false,
    ...(cpuShares === undefined ? {} : { cpuShares }),
    ...(memoryLimitMb === undefined ? {} : { memoryLimitMb }),
  };
}

function parseMount(mounts: TomlTable, key: string, spec: string): Mount {
  const label = trim(key);
  if (label === "") throw mounts.invalid("mount label must not be empty", key);
  const sides = spec.split(":").map(trim);
  const [hostPath, containerPath] = sides;
  if (sides.length !== 2 || !hostPath || !containerPath)
    throw mounts.invalid(
      `invalid mount declaration for '${label}': '${spec}', expected '<host>:<container>'`,
      key,
    );
  return { label, hostPath, containerPath };
}

function parseBackend(runtime: TomlTable | undefined, text: string | undefined): Backend {
  if (runtime === undefined || text === undefined) return "namespace";
  const wanted = trim(text).toLowerCase();
  const backend = BACKENDS.find((known) => known === wanted);
  if (backend !== undefined) return backend;
  throw runtime.invalid(`unsupported runtime.backend: '${text}', expected ${BACKENDS.join(", ")}`, "backend");
}

/** Sorted by UTF-8 bytes, as everywhere: JavaScript's own order is that of UTF-16 units. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function normalizeList(items: readonly string[] = []): string[] {
  return [...new Set(items.map(trim))].filter((item) => item !== "").toSorted(compareBytes);
}

/** Unicode's White_Space; JavaScript's `trim` leaves U+0085 and takes U+FEFF. */
const SPACE = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const SPACE_AROUND = new RegExp(`^${SPACE}+|${SPACE}+$`, "g");

function trim(text: string): string {
  return text.replaceAll(SPACE_AROUND, "");
}

const refuse: Refuse = (reason, { malformed, ...at }) =>
  invalid(malformed ? `failed to parse manifest: ${reason}` : reason, at);

function invalid(message: string, at: { line?: number; column?: number; key?: string }): GranaryError {
  const { line, column, key } = at;
  const place = line === undefined || column === undefined ? "" : ` (${KARAPACE_FILE}:${line}:${column})`;
  return new GranaryError("ENVIRONMENT_INVALID", message.slice(0, 600) + place, {
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
    ...(key === undefined ? {} : { key }),
  });
}
