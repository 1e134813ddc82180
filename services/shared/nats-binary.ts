import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { isFitNatsVersion, MIN_NATS_VERSION, parseNatsVersion } from "./nats-version.ts";

export interface NatsBinary {
  readonly path: string;
  readonly version: string;
}

/**
 * Finds a nats-server that is new enough: `NATS_SERVER_BIN`, `PATH`, the cache that `npm run setup` fills
 * (deploy/setup/nats-server.mjs looks in the same order).
 * @throws GranaryError NATS_UNFIT when `NATS_SERVER_BIN` names something else; NATS_MISSING when there is none
 */
export async function findNatsBinary(env: Readonly<Record<string, string | undefined>>): Promise<NatsBinary> {
  const named = env["NATS_SERVER_BIN"];
  if (named) return checkNatsBinary(named);
  const found = (await binaryOnPath(env["PATH"] ?? "")) ?? (await binaryInCache(cacheFolder(env)));
  if (found) return found;
  throw new GranaryError(
    "NATS_MISSING",
    `no nats-server >= ${MIN_NATS_VERSION} on PATH or in ${cacheFolder(env)}`,
  );
}

/**
 * Asks a binary for its version.
 * @throws GranaryError NATS_UNFIT when it does not run, is no nats-server, or is too old
 */
export async function checkNatsBinary(file: string): Promise<NatsBinary> {
  const version = await versionOf(file);
  if (version === undefined)
    throw new GranaryError("NATS_UNFIT", `${file} is not a nats-server that runs here`, { file });
  if (!isFitNatsVersion(version)) {
    const detail = { file, version, minimum: MIN_NATS_VERSION };
    throw new GranaryError("NATS_UNFIT", `${file} is version ${version}`, detail);
  }
  return { path: file, version };
}

async function binaryOnPath(searchPath: string): Promise<NatsBinary | undefined> {
  for (const folder of searchPath.split(path.delimiter)) {
    const file = path.join(folder, "nats-server");
    if (!path.isAbsolute(file) || !existsSync(file)) continue;
    const version = await versionOf(file);
    if (version !== undefined && isFitNatsVersion(version)) return { path: file, version };
  }
  return undefined;
}

/** `<cache>/nats-server/current.json`, written by deploy/setup/nats-cache.mjs. */
const CACHE_RECORD = z.object({ file: z.string(), version: z.string(), sha256: z.string() });

async function binaryInCache(cache: string): Promise<NatsBinary | undefined> {
  const folder = path.join(cache, "nats-server");
  try {
    const record = CACHE_RECORD.parse(JSON.parse(await readFile(path.join(folder, "current.json"), "utf8")));
    const file = path.join(folder, record.file);
    const sha256 = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
    return sha256 === record.sha256 ? { path: file, version: record.version } : undefined;
  } catch {
    return undefined;
  }
}

export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  if (env["GRANARY_CACHE"]) return path.resolve(env["GRANARY_CACHE"]);
  if (env["XDG_CACHE_HOME"]) return path.resolve(env["XDG_CACHE_HOME"], "granary");
  return path.join(os.homedir(), ".cache", "granary");
}

async function versionOf(file: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(file, ["--version"], { timeout: 10_000 });
    return stdout.includes("nats-server") ? parseNatsVersion(stdout) : undefined;
  } catch {
    return undefined;
  }
}
