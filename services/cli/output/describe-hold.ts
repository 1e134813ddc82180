import { actorText } from "../../../proto/actor-text.ts";
import type { HeldJson } from "../../../proto/http.ts";
import { formatTime } from "./format.ts";

/** What `granary unhold` needs to release it. */
export function holdArgument(held: Pick<HeldJson, "level">, at: { org: string; project: string }): string {
  return { project: `${at.org}/${at.project}`, org: at.org, farm: "--all" }[held.level];
}

/** A hold in words: `with its org since TIME by WHO: WHY, until TIME`. */
export function describeHold(held: HeldJson): string {
  const level = { project: "", org: "with its org ", farm: "with the whole farm " }[held.level];
  const until = held.until === undefined ? "" : `, until ${formatTime(held.until)}`;
  return `${level}since ${formatTime(held.since)} by ${actorText(held.by)}: ${held.reason}${until}`;
}
