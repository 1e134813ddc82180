import path from "node:path";
import { GranaryError } from "../../../proto/errors.ts";
import { type Name, nameFrom, parseName } from "../../../proto/names.ts";

export interface ProjectName {
  /** Undefined: the token's org. */
  readonly org: Name | undefined;
  readonly project: Name;
  /** Where the name comes from, for people. */
  readonly source: string;
}

export interface ProjectSources {
  /** `[ORG/]PROJECT` of the flag. */
  readonly flag: string | undefined;
  /** GRANARY_PROJECT or .granary.toml, in that order. */
  readonly configured: { readonly value: string; readonly source: string } | undefined;
  /** `name` of karta.toml. */
  readonly kartaName: string | undefined;
  /** Directory or archive file; undefined on stdin. */
  readonly file: string | undefined;
}

/**
 * The project to publish to: flag, GRANARY_PROJECT, .granary.toml, karta.toml, name of the directory. Names that were written
 * for us must be valid as they are; karta.toml's and the directory's are folded into one.
 * @throws GranaryError NAME_INVALID; USAGE when nothing gives a name
 */
export function resolveProject(sources: ProjectSources): ProjectName {
  if (sources.flag !== undefined) return parseProject(sources.flag, "-p");
  if (sources.configured !== undefined)
    return parseProject(sources.configured.value, sources.configured.source);
  const fromKarta = sources.kartaName === undefined ? undefined : nameFrom(sources.kartaName);
  if (fromKarta !== undefined) return { org: undefined, project: fromKarta, source: "karta.toml" };
  const base =
    sources.file === undefined
      ? ""
      : path.basename(path.resolve(sources.file)).replace(/\.(?:tar\.gz|tgz)$/, "");
  const fromFile = nameFrom(base);
  if (fromFile !== undefined) return { org: undefined, project: fromFile, source: `its own name, ${base}` };
  throw new GranaryError("USAGE", "nothing names the project: pass -p [ORG/]PROJECT");
}

function parseProject(text: string, source: string): ProjectName {
  const slash = text.indexOf("/");
  const org = slash < 0 ? undefined : parseName(text.slice(0, slash), "org");
  return { org, project: parseName(text.slice(slash + 1), "project"), source };
}
