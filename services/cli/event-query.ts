import type { Query } from "./http/api-client.ts";
import type { Flags } from "./verb-context.ts";

/** The filters of the event verbs, `-p ORG/PROJECT`, `-p PROJECT`, `--org`, and the format of their answers. */
export function eventQuery(flags: Flags<"project" | "org" | "format">): Query {
  const given = flags.text("project");
  const slash = given?.indexOf("/") ?? -1;
  return {
    org: flags.text("org") ?? (slash < 0 ? undefined : given?.slice(0, slash)),
    project: given?.slice(slash + 1),
    format: flags.text("format"),
  };
}

/** The cursor behind which to begin; `start` is the beginning. */
export function eventCursor(from: string | undefined): string | undefined {
  return from === "start" ? "0-0" : from;
}
