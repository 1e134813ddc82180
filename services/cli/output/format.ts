/** Bytes as people read them: `12 KB`, `1.2 MB` (powers of 1000, as in disk and network sizes). */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["KB", "MB", "GB", "TB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${units[unit]}`;
}

/** `12,345`. Without `toLocaleString`, whose first use takes 14 ms, a twelfth of a command. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(?:[0-9]{3})+$)/g, ",");
}

/** `1 file`, `2 files`. */
export function plural(count: number, singular: string, several = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : several}`;
}

/** A time of the log as people read it, to the second, UTC. */
export function formatTime(rfc3339: string | null | undefined): string | undefined {
  return rfc3339?.replace("T", " ").replace(/(?:\.[0-9]+)?Z$/, "Z");
}

export function shortCommit(commit: string | null | undefined): string | undefined {
  return commit?.slice(0, 12);
}

export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  const seconds = durationMs / 1000;
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** Controls, what turns the direction of text, line separators, and what nobody sees: none of it may reach a terminal raw. */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Text from elsewhere with its control characters escaped: a name must not drive the terminal. The escapes are those of JSON. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
