import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { natsVersionOf } from "./nats-version.mjs";
import { runCommand } from "./run-command.mjs";

/**
 * The release that is asked for by name, since the archive has no "latest that fits".
 * @public tests read it
 */
export const RELEASE_VERSION = "2.15.1";
/** Where releases lie; `GRANARY_NATS_RELEASES` names another place with the same layout. */
const RELEASES = "https://github.com/nats-io/nats-server/releases/download";
const MAX_ARCHIVE_BYTES = 64 * 1024 * 1024;

/**
 * Fetches the official release archive, refuses it unless it has the sum published in the release's SHA256SUMS, and
 * unpacks its binary.
 * @param {string} work an empty folder of ours; the caller removes it
 * @param {{base?: string | undefined, platform?: string, arch?: string, timeoutMs?: number}} [options]
 * @returns {Promise<{ok: true, file: string, version: string, source: string} | {ok: false, reason: string}>}
 */
export async function natsFromRelease(work, options = {}) {
  const platform = { linux: "linux", darwin: "darwin" }[options.platform ?? process.platform];
  const arch = { x64: "amd64", arm64: "arm64" }[options.arch ?? process.arch];
  if (!platform || !arch)
    return { ok: false, reason: `there is no release for ${process.platform} ${process.arch}` };
  const base = `${(options.base ?? RELEASES).replace(/\/+$/, "")}/v${RELEASE_VERSION}`;
  const name = `nats-server-v${RELEASE_VERSION}-${platform}-${arch}.tar.gz`;
  const signal = AbortSignal.timeout(options.timeoutMs ?? 120_000);
  try {
    const sums = (await download(`${base}/SHA256SUMS`, signal)).toString("utf8");
    const expected = sumOf(sums, name);
    if (!expected) return { ok: false, reason: `SHA256SUMS does not list ${name}` };
    const archive = await download(`${base}/${name}`, signal);
    const actual = createHash("sha256").update(archive).digest("hex");
    if (actual !== expected) {
      return { ok: false, reason: `${name} has sha256 ${actual}, but its release says ${expected}` };
    }
    return await unpack(work, name, archive, expected);
  } catch (error) {
    return { ok: false, reason: `cannot fetch ${base}/${name}: ${error.cause?.message ?? error.message}` };
  }
}

/** One line of `sha256sum` output per file: 64 hex digits, two characters, the name. */
function sumOf(sums, name) {
  for (const line of sums.split("\n")) {
    const match = /^([0-9a-f]{64})[ *]+(\S+)\s*$/.exec(line);
    if (match && path.posix.basename(match[2]) === name) return match[1];
  }
  return undefined;
}

async function download(url, signal) {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
  const chunks = [];
  let sizeBytes = 0;
  for await (const chunk of response.body) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ARCHIVE_BYTES) throw new Error(`more than ${MAX_ARCHIVE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function unpack(work, name, archive, sha256) {
  const file = path.join(work, name.replace(/\.tar\.gz$/, ""), "nats-server");
  fs.writeFileSync(path.join(work, name), archive);
  const { ok, output } = await runCommand("tar", ["-xzf", name], { cwd: work });
  if (!ok) return { ok: false, reason: `tar -xzf ${name} failed: ${output.trim()}` };
  const version = await natsVersionOf(file);
  if (!version) return { ok: false, reason: `the binary in ${name} does not run on this system` };
  return { ok: true, file, version, source: `${name} sha256:${sha256}` };
}
