import { GranaryError } from "../../proto/errors.ts";
import { parseName } from "../../proto/names.ts";
import type { ApiClient } from "./http/api-client.ts";
import { findProject, findRelease, type ProjectPath } from "./references.ts";

export interface PreviewPath extends ProjectPath {
  /** `O/P@preview/NAME`. */
  readonly reference: string;
}

/**
 * A preview as verbs take it: `O/P NAME`, or the reference `O/P@preview/NAME`.
 * @returns `path` is the preview's own @throws GranaryError USAGE, NAME_INVALID
 */
export async function findPreview(api: ApiClient, args: readonly string[]): Promise<PreviewPath> {
  const [first = "", second] = args;
  const { name, ...project } = second === undefined ? await byReference(api, first) : await byName(api, args);
  return {
    ...project,
    path: `${project.path}/previews/${name}`,
    reference: `${project.org}/${project.project}@preview/${name}`,
  };
}

async function byName(api: ApiClient, [project = "", name = ""]: readonly string[]) {
  return { ...(await findProject(api, project)), name: parseName(name, "preview") };
}

async function byReference(api: ApiClient, text: string) {
  const { ref, ...project } = await findRelease(api, text);
  const name = /^preview\/(.+)$/.exec(ref)?.[1];
  if (name === undefined)
    throw new GranaryError(
      "USAGE",
      `${JSON.stringify(text)} names no preview: O/P NAME, or O/P@preview/NAME`,
    );
  return { ...project, name };
}
