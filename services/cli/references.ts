import { previewChannel } from "../../proto/channel.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { Page, PreviewJson, PublishJson, ReleaseJson, WhoamiJson } from "../../proto/http.ts";
import { type Name, parseName, parseReference } from "../../proto/names.ts";
import type { ApiClient } from "./http/api-client.ts";

export interface ProjectPath {
  readonly org: Name;
  readonly project: Name;
  /** `/v1/orgs/O/projects/P`. */
  readonly path: string;
}

export interface ReleasePath extends ProjectPath {
  /** `v3`, `current`, `preview/NAME` or a commit, as the API takes it. */
  readonly ref: string;
}

/** The org of the token. @throws GranaryError UNAUTHENTICATED, NO_FARM */
export async function tokenOrg(api: ApiClient): Promise<Name> {
  return parseName((await api.get<WhoamiJson>("/v1/whoami")).org, "org");
}

/** `O/P` or `P` of the token's org. @throws GranaryError USAGE, NAME_INVALID */
export async function findProject(api: ApiClient, text: string): Promise<ProjectPath> {
  const { ref: _ref, ...project } = await parse(api, text, false);
  return project;
}

/** A release; `O/P` alone is the live one. @throws GranaryError USAGE, NAME_INVALID */
export async function findRelease(api: ApiClient, text: string): Promise<ReleasePath> {
  return parse(api, text, true);
}

async function parse(api: ApiClient, text: string, releases: boolean): Promise<ReleasePath> {
  const defaultOrg =
    text.includes("/") && text.indexOf("/") < (text.indexOf("@") + 1 || text.length)
      ? undefined
      : await tokenOrg(api);
  const { org, project, target } = parsed(text, defaultOrg);
  if (!releases && target.kind !== "none")
    throw new GranaryError(
      "USAGE",
      `${JSON.stringify(text)} names a release; a project is wanted: ${org}/${project}`,
    );
  return { org, project, path: projectPath(org, project), ref: refOf(target) };
}

/** `bot/v1` and `v1` look like releases, and are none. */
function parsed(text: string, defaultOrg: Name | undefined): ReturnType<typeof parseReference> {
  try {
    return parseReference(text, defaultOrg);
  } catch (error) {
    if (!(error instanceof GranaryError) || !/(?:^|\/)v[0-9]+$/.test(text)) throw error;
    const hint = "A release is PROJECT@vN or ORG/PROJECT@vN.";
    throw new GranaryError(error.code, error.message, { ...error.detail, hint }, { cause: error });
  }
}

function refOf(target: ReturnType<typeof parseReference>["target"]): string {
  switch (target.kind) {
    case "version":
      return `v${target.version}`;
    case "commit":
      return target.commit;
    case "preview":
      return previewChannel(target.name);
    default:
      return "current";
  }
}

export function projectPath(org: string, project: string): string {
  return `/v1/orgs/${encodeURIComponent(org)}/projects/${encodeURIComponent(project)}`;
}

/** A release or a preview, by its reference. */
export async function fetchArtifact(api: ApiClient, text: string): Promise<ReleaseJson | PreviewJson> {
  const { path, ref } = await findRelease(api, text);
  return api.get<ReleaseJson | PreviewJson>(`${path}/releases/${encodeURIComponent(ref)}`);
}

/** `v3`, or `preview/NAME`: the part of its reference behind the @. */
export function refOfArtifact(artifact: ReleaseJson | PreviewJson): string {
  return "version" in artifact ? artifact.version : artifact.channel;
}

/**
 * A publish id as it is; `O/P` is the project's newest publish, `O/P@REF` the one that made the release.
 * @throws GranaryError NOT_FOUND when the project has no publish
 */
export async function findPublishId(api: ApiClient, text: string): Promise<string> {
  // Ids have an underscore (`pub_...`), names of projects cannot have one.
  if (text.includes("_")) return text;
  if (text.includes("@")) return (await fetchArtifact(api, text)).publish_id;
  const { path, org, project } = await findProject(api, text);
  const newest = (await api.get<Page<PublishJson>>(`${path}/publishes`, { limit: 1 })).items[0];
  if (newest === undefined) throw new GranaryError("NOT_FOUND", `${org}/${project} has no publish`);
  return newest.publish_id;
}
