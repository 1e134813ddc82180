import { type EnvironmentLock, environmentId } from "./environment.ts";
import { GranaryError } from "./errors.ts";
import { BACKENDS, type KarapaceManifest } from "./karapace-toml.ts";
import { LIMITS } from "./limits.ts";
import { readToml } from "./read-toml.ts";
import { type Refuse, TomlTable } from "./toml-table.ts";

export const LOCK_FILE = "karapace.lock";

/** karapace.lock, version 2: what a manifest was resolved to. @throws GranaryError LOCK_INVALID, also when it is not what its `env_id` says */
export function parseKarapaceLock(bytes: Uint8Array): EnvironmentLock {
  if (bytes.byteLength > LIMITS.manifestBytes)
    throw invalid(`it has ${bytes.byteLength} bytes, limit ${LIMITS.manifestBytes}`);
  const read = readToml(bytes, { integersAsBigInt: true });
  if ("reason" in read) {
    const { reason, line, column } = read;
    throw invalid(reason, line === undefined || column === undefined ? {} : { line, column });
  }
  const root = new TomlTable({ ...read, refuse });
  const version = root.required("lock_version", root.integer("lock_version"));
  if (version !== 2n) throw root.invalid(`unsupported lock_version: ${version}, expected 2`, "lock_version");
  const wanted = root.required("env_id", root.string("env_id"));
  const shortId = root.required("short_id", root.string("short_id"));
  const backendText = root.required("runtime_backend", root.string("runtime_backend"));
  const backend = BACKENDS.find((known) => known === backendText);
  if (backend === undefined) throw root.invalid("unknown runtime_backend", "runtime_backend");
  const cpuShares = root.unsigned("cpu_shares");
  const memoryLimitMb = root.unsigned("memory_limit_mb");
  const lock: EnvironmentLock = {
    baseImage: root.required("base_image", root.string("base_image")),
    baseImageDigest: root.required("base_image_digest", root.string("base_image_digest")),
    packages: root.required("resolved_packages", root.tables("resolved_packages")).map((table) => {
      const name = table.required("name", table.string("name"));
      const resolved = { name, version: table.required("version", table.string("version")) };
      table.end();
      return resolved;
    }),
    apps: root.required("resolved_apps", root.strings("resolved_apps")),
    backend,
    gpu: root.required("hardware_gpu", root.boolean("hardware_gpu")),
    audio: root.required("hardware_audio", root.boolean("hardware_audio")),
    networkIsolation: root.required("network_isolation", root.boolean("network_isolation")),
    mounts: (root.tables("mounts") ?? []).map((table) => {
      const label = table.required("label", table.string("label"));
      const hostPath = table.required("host_path", table.string("host_path"));
      const mount = {
        label,
        hostPath,
        containerPath: table.required("container_path", table.string("container_path")),
      };
      table.end();
      return mount;
    }),
    ...(cpuShares === undefined ? {} : { cpuShares }),
    ...(memoryLimitMb === undefined ? {} : { memoryLimitMb }),
  };
  root.end();
  const actual = environmentId(lock);
  if (actual !== wanted) throw root.invalid(`its content has the env_id ${actual}, not ${wanted}`, "env_id");
  if (!actual.startsWith(shortId) || shortId.length !== 12)
    throw root.invalid(`short_id must be the first 12 of env_id, not ${shortId}`, "short_id");
  return lock;
}

/** @throws GranaryError LOCK_STALE when the lock is of another manifest */
export function requireLockOf(lock: EnvironmentLock, manifest: KarapaceManifest): void {
  const { baseImageDigest: _, packages, ...rest } = lock;
  const locked = { ...rest, packages: packages.map(({ name }) => name) };
  const changed = Object.keys({ ...locked, ...manifest }).filter(
    (key) => text(locked[key as keyof typeof locked]) !== text(manifest[key as keyof KarapaceManifest]),
  );
  if (changed.length > 0)
    throw new GranaryError("LOCK_STALE", `${LOCK_FILE} is of another manifest: ${changed.join(", ")}`, {
      changed,
    });
}

/** Order counts: both are sorted in the same way. */
function text(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part)) ?? ""
  );
}

const refuse: Refuse = (reason, { malformed: _, ...at }) => invalid(reason, at);

function invalid(reason: string, at: { line?: number; column?: number; key?: string } = {}): GranaryError {
  const place = at.line === undefined ? "" : `:${at.line}:${at.column}`;
  return new GranaryError("LOCK_INVALID", `${LOCK_FILE}${place}: ${reason.slice(0, 600)}`, { ...at });
}
