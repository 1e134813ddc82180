import type { CloudEvent } from "../../../proto/events.ts";
import { formatTime, printable } from "./format.ts";
import { padEnd } from "./text-width.ts";

/** One event as a line: time, project, type, subject and what is worth knowing of its data. */
export function formatEvent(event: CloudEvent): string {
  return [
    formatTime(event.time),
    padEnd(projectOf(event), 16),
    padEnd(shortType(event), 19),
    printable(event.subject),
    printable(summary(event)),
  ]
    .filter((part) => part !== "")
    .join("  ");
}

/** `release.activated` of `dev.granary.release.activated.v1`. */
export function shortType({ type }: Pick<CloudEvent, "type">): string {
  return type.replace(/^dev\.granary\./, "").replace(/\.v[0-9]+$/, "");
}

/** `acme/bot` of `/orgs/acme/projects/bot`. */
export function projectOf(event: CloudEvent): string {
  return printable(event.source.replace(/^\/orgs\/([^/]+)\/projects\/([^/]+)$/, "$1/$2"));
}

export function summary(event: CloudEvent): string {
  const { data } = event;
  const parts: string[] = [];
  if (typeof data["from"] === "string" || typeof data["to"] === "string")
    parts.push(`${data["from"] ?? "nothing"} -> ${data["to"] ?? "nothing"}`);
  if (typeof data["cause"] === "string") parts.push(data["cause"]);
  if (typeof data["not_activated_reason"] === "string")
    parts.push(`not live: ${data["not_activated_reason"]}`);
  if (typeof data["overtaken_by"] === "string") parts.push(`by ${data["overtaken_by"]}`);
  if (event.subject.startsWith("preview/") && typeof data["version"] === "string")
    parts.push(data["version"]);
  const { error } = data;
  if (typeof error === "object" && error !== null && "code" in error) parts.push(String(error.code));
  if (typeof data["reason"] === "string") parts.push(data["reason"]);
  return parts.join(", ");
}
