import type { ScrubJson, ScrubPassJson } from "../../../proto/http-store.ts";
import { formatBytes, formatTime } from "./format.ts";

/** Where the background check of the store is, in a line. */
export function scrubText({ state, pass, last }: ScrubJson): string {
  if (state === "off") return "off";
  const now =
    pass === null
      ? []
      : [`at ${Math.round(pass.progress * 100)} % (${formatBytes(pass.bytes)}): ${foundText(pass)}`];
  const before =
    last === null ? "no whole pass yet" : `last whole pass ${formatTime(last.ended_at)}: ${foundText(last)}`;
  return [...now, before].join("; ");
}

function foundText({ found }: ScrubPassJson): string {
  const kinds = Object.entries(found).filter(([, count]) => count > 0);
  if (kinds.length === 0) return "nothing found";
  return kinds.map(([kind, count]) => `${count} ${kind.replaceAll("_", " ")}`).join(", ");
}
