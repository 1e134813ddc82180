/** Older servers acknowledge before they fsync, or ignore TTLs and batches silently. deploy/setup/nats-version.mjs agrees. */
export const MIN_NATS_VERSION = "2.12";

/**
 * Reads a version from `nats-server: v2.15.1`, `2.15.1-1`, `v2.12.0-RC.1`.
 * @returns `major.minor.patch`
 */
export function parseNatsVersion(text: string): string | undefined {
  const match = /(?:^|[^\d.])v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match ? `${match[1]}.${match[2]}.${match[3]}` : undefined;
}

/** Whether a version is at least {@link MIN_NATS_VERSION}. */
export function isFitNatsVersion(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_NATS_VERSION.split(".").map(Number);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}
