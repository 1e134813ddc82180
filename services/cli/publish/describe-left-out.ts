import { plural, printable } from "../output/format.ts";
import type { LeftOut } from "../tree/walk-directory.ts";

/** Names that are shown of one reason; the rest is counted. */
const NAMES_SHOWN = 5;

/** Lines that say what a walk left out, one per reason. */
export function describeLeftOut(leftOut: readonly LeftOut[]): string[] {
  const byReason = new Map<string, LeftOut[]>();
  for (const entry of leftOut) byReason.set(entry.by, [...(byReason.get(entry.by) ?? []), entry]);
  return [...byReason].map(([by, entries]) => {
    const names = entries
      .slice(0, NAMES_SHOWN)
      .map((entry) => printable(entry.path) + (entry.directory ? "/" : ""));
    const more =
      entries.length > NAMES_SHOWN ? ` and ${plural(entries.length - NAMES_SHOWN, "more", "more")}` : "";
    return `left out${by === "always" ? "" : ` by ${by}`}: ${names.join(", ")}${more}`;
  });
}
