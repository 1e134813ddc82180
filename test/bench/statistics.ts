/** The middle value; of an even number of values the upper one. NaN of none. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value that `share` (0 to 1) of all values lie below: `percentile(times, 0.99)`. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Largest less smallest. */
export function spread(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : Math.max(...values) - Math.min(...values);
}

/** How often `value` goes into `baseline`, by their medians: above 1 the value is the smaller, faster one. */
export function timesFaster(values: readonly number[], baseline: readonly number[]): number {
  return median(baseline) / median(values);
}
