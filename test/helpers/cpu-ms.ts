/** Processor time that `run` takes: unlike the clock it says the same on a busy machine. Errors are answered, not thrown. */
export function cpuMs<T>(run: () => T): {
  readonly ms: number;
  readonly value: T | undefined;
  readonly error: unknown;
} {
  const before = process.cpuUsage();
  let value: T | undefined;
  let error: unknown;
  try {
    value = run();
  } catch (thrown) {
    error = thrown;
  }
  const { user, system } = process.cpuUsage(before);
  return { ms: (user + system) / 1000, value, error };
}
