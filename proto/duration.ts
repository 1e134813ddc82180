/** `8h`, `30m`, `90s`, `7d`. */
export const DURATION = /^([1-9][0-9]{0,6})(s|m|h|d)$/;

/** @returns milliseconds of a duration such as `72h`; undefined when it is none */
export function parseDurationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (!match) return undefined;
  const unit = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as "s" | "m" | "h" | "d"];
  return Number(match[1]) * unit;
}
