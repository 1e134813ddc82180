import { GranaryError } from "../../proto/errors.ts";
import type { Flags } from "./verb-context.ts";

/** `--org ORG` and `-p [ORG/]PROJECT`, as given. @throws GranaryError USAGE when they name two orgs */
export function orgAndProject(flags: Flags<"project" | "org">): {
  readonly org: string | undefined;
  readonly project: string | undefined;
} {
  const [org, given] = [flags.text("org"), flags.text("project")];
  const slash = given?.indexOf("/") ?? -1;
  const named = slash < 0 ? undefined : given?.slice(0, slash);
  if (org !== undefined && named !== undefined && org !== named)
    throw new GranaryError("USAGE", `--org ${org} and -p ${given} name two orgs`);
  return { org: org ?? named, project: given?.slice(slash + 1) };
}
