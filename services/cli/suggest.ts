/** The candidate that was probably meant, or undefined when none is near. */
export function suggest(given: string, candidates: readonly string[]): string | undefined {
  let best: { text: string; distance: number } | undefined;
  for (const text of candidates) {
    const distance = text.startsWith(given) && given.length >= 3 ? 1 : editDistance(given, text);
    if (best === undefined || distance < best.distance) best = { text, distance };
  }
  return best !== undefined && best.distance <= Math.max(1, Math.floor(given.length / 3))
    ? best.text
    : undefined;
}

/** Optimal string alignment: insert, delete, replace, swap neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
