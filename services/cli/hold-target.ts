import { GranaryError } from "../../proto/errors.ts";
import type { HoldJson, ProjectJson } from "../../proto/http.ts";
import { parseName } from "../../proto/names.ts";
import type { ApiClient } from "./http/api-client.ts";
import { findProject } from "./references.ts";

/** What `hold` and `unhold` act on: as people name it, as the command line does, and where its holds are. */
export interface HoldTarget {
  readonly name: string;
  readonly argument: string;
  readonly path: string;
}

/** Answers of the routes of all three levels. */
export type HoldAnswer = HoldJson & Partial<Pick<ProjectJson, "current" | "last_version">>;

/** A name alone is an org: a hold never reaches further than what was named. @throws GranaryError USAGE, NAME_INVALID */
export async function findHoldTarget(
  client: ApiClient,
  given: { readonly what: string | undefined; readonly all: boolean },
): Promise<HoldTarget> {
  const { what, all } = given;
  if (all !== (what === undefined))
    throw new GranaryError("USAGE", "name a project (ORG/PROJECT), an org, or give --all");
  if (what === undefined) return { name: "the farm", argument: "--all", path: "/v1/holds" };
  if (!what.includes("/")) {
    const org = parseName(what, "org");
    return { name: `org ${org}`, argument: org, path: `/v1/orgs/${org}/holds` };
  }
  const { org, project, path } = await findProject(client, what);
  return { name: `${org}/${project}`, argument: `${org}/${project}`, path: `${path}/holds` };
}
