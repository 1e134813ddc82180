import type { Query } from "./http/api-client.ts";
import { orgAndProject } from "./org-and-project.ts";
import type { Flags } from "./verb-context.ts";

/** The filters of the event verbs, `-p ORG/PROJECT`, `-p PROJECT`, `--org`, and the format of their answers. */
export function eventQuery(flags: Flags<"project" | "org" | "format">): Query {
  return { ...orgAndProject(flags), format: flags.text("format") };
}

/** The cursor behind which to begin; `start` is the beginning. */
export function eventCursor(from: string | undefined): string | undefined {
  return from === "start" ? "0-0" : from;
}
