import { blake3 } from "@noble/hashes/blake3.js";
import { type Backend, compareBytes, type KarapaceManifest, type Mount } from "./karapace-toml.ts";

/** What an environment was resolved to: a lock. Identities are made from it alone. */
export interface EnvironmentLock {
  readonly baseImage: string;
  readonly baseImageDigest: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
  readonly apps: readonly string[];
  readonly backend: Backend;
  readonly gpu: boolean;
  readonly audio: boolean;
  readonly networkIsolation: boolean;
  readonly mounts: readonly Mount[];
  readonly cpuShares?: bigint;
  readonly memoryLimitMb?: bigint;
}

/** Of a manifest that is normalized: fixed key order, no spaces, nulls and empty arrays written. */
export function canonicalManifest(manifest: KarapaceManifest): string {
  const members = {
    manifest_version: "1",
    base_image: JSON.stringify(manifest.baseImage),
    system_packages: JSON.stringify(manifest.packages),
    gui_apps: JSON.stringify(manifest.apps),
    hardware_gpu: String(manifest.gpu),
    hardware_audio: String(manifest.audio),
    mounts: JSON.stringify(
      manifest.mounts.map(({ label, hostPath, containerPath }) => ({
        label,
        host_path: hostPath,
        container_path: containerPath,
      })),
    ),
    runtime_backend: JSON.stringify(manifest.backend),
    network_isolation: String(manifest.networkIsolation),
    // JSON.stringify knows no BigInt, and a number would print 2^63 with an exponent.
    cpu_shares: String(manifest.cpuShares ?? null),
    memory_limit_mb: String(manifest.memoryLimitMb ?? null),
  };
  return `{${Object.entries(members)
    .map(([key, json]) => `"${key}":${json}`)
    .join(",")}}`;
}

export function manifestHash(manifest: KarapaceManifest): string {
  return blake3Hex(canonicalManifest(manifest));
}

/** Known before anything is resolved. */
export function preliminaryId(manifest: KarapaceManifest): string {
  return blake3Hex(
    canonicalManifest(manifest),
    blake3Hex(manifest.baseImage),
    ...manifest.packages.map((name) => `pkg:${name}`),
    ...sharedParts(manifest),
  );
}

/**
 * `env_id`, compatible with the reference: its parts have no separators, so other environments with the same id can be made up. It
 * names an environment to people and other tools; nothing may be cached or trusted by it.
 */
export function environmentId(lock: EnvironmentLock): string {
  const packages = lock.packages.toSorted(
    (a, b) => compareBytes(a.name, b.name) || compareBytes(a.version, b.version),
  );
  return blake3Hex(
    `base_digest:${lock.baseImageDigest}`,
    ...packages.map(({ name, version }) => `pkg:${name}@${version}`),
    ...sharedParts(lock),
  );
}

/** The lock of a manifest that nothing was resolved for. */
export function unresolvedLock(manifest: KarapaceManifest): EnvironmentLock {
  return lockOf(manifest, { digestOf: "unresolved:", version: "unresolved" });
}

/** The lock that the mock backend makes: deterministic, of nothing real. */
export function mockLock(manifest: KarapaceManifest): EnvironmentLock {
  return lockOf(manifest, { digestOf: "mock-image:", version: "0.0.0-mock" });
}

function lockOf(
  { packages, ...manifest }: KarapaceManifest,
  as: { readonly digestOf: string; readonly version: string },
): EnvironmentLock {
  return {
    ...manifest,
    baseImageDigest: blake3Hex(as.digestOf + manifest.baseImage),
    packages: packages.map((name) => ({ name, version: as.version })),
  };
}

/** What both identities end with. */
function sharedParts(of: Omit<KarapaceManifest, "packages">): string[] {
  return [
    ...of.apps.map((name) => `app:${name}`),
    ...(of.gpu ? ["hw:gpu"] : []),
    ...(of.audio ? ["hw:audio"] : []),
    ...of.mounts.map(({ label, hostPath, containerPath }) => `mount:${label}:${hostPath}:${containerPath}`),
    `backend:${of.backend}`,
    ...(of.networkIsolation ? ["net:isolated"] : []),
    ...(of.cpuShares === undefined ? [] : [`cpu:${of.cpuShares}`]),
    ...(of.memoryLimitMb === undefined ? [] : [`mem:${of.memoryLimitMb}`]),
  ];
}

function blake3Hex(...parts: readonly string[]): string {
  return Buffer.from(blake3(Buffer.from(parts.join("")))).toString("hex");
}
