import { runCommand } from "./run-command.mjs";

/** Older servers acknowledge before they fsync, or ignore TTLs and batches silently. */
export const MIN_NATS_VERSION = "2.12";

/**
 * Reads a version from `nats-server: v2.15.1`, `2.15.1-1`, `v2.12.0-RC.1`.
 * @param {string} text
 * @public tests read it
 * @returns {string | undefined} `major.minor.patch`, or undefined when there is none
 */
export function parseNatsVersion(text) {
  const match = /(?:^|[^\d.])v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? `${match[1]}.${match[2]}.${match[3]}` : undefined;
}

/**
 * Whether a version is at least {@link MIN_NATS_VERSION}.
 * @param {string | undefined} version
 */
export function isFitNatsVersion(version) {
  if (version === undefined) return false;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_NATS_VERSION.split(".").map(Number);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}

/**
 * Asks a binary for its version.
 * @param {string} file
 * @returns {Promise<string | undefined>} undefined when it cannot be run or says nothing we know
 */
export async function natsVersionOf(file) {
  const { ok, output } = await runCommand(file, ["--version"], { timeoutMs: 10_000 });
  return ok && output.includes("nats-server") ? parseNatsVersion(output) : undefined;
}
