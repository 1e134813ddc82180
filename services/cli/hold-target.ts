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
type HoldAnswer = HoldJson & Partial<Pick<ProjectJson, "current" | "last_version">>;

/** Sends what holds or releases a target. @throws GranaryError the farm's refusal; of an org that is not there with what else was meant */
export async function changeHold(
  client: ApiClient,
  method: "POST" | "DELETE",
  { argument, path }: HoldTarget,
  body?: unknown,
): Promise<HoldAnswer> {
  try {
    return await client.command<HoldAnswer>(method, path, body);
  } catch (error) {
    const isName = /^[^/-]/.test(argument) && !argument.includes("/");
    if (!(error instanceof GranaryError) || error.code !== "NOT_FOUND" || !isName) throw error;
    const hint = `A name alone is an org here; a project is ORG/${argument}.`;
    throw new GranaryError(error.code, error.message, { ...error.detail, hint });
  }
}

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
