import { GranaryError } from "../../../proto/errors.ts";
import { parseToken } from "../../../proto/token.ts";
import type { Environment } from "../verb-context.ts";
import { type Contexts, readContexts, type SavedContext, savedContext } from "./contexts.ts";
import { findProjectFile, type ProjectFile } from "./project-file.ts";

export const DEFAULT_URL = "http://127.0.0.1:7421";

/** A value and where it comes from, as `config print` shows it. */
export interface Sourced {
  readonly value: string;
  readonly source: string;
}

export interface Settings {
  readonly url: Sourced;
  readonly token: Sourced | undefined;
  /** Name of the context that gave url or token. */
  readonly context: Sourced | undefined;
  /** Org that the context's token was for when it was saved: good for predictions, not for decisions. */
  readonly org: string | undefined;
  readonly projectFile: ProjectFile | undefined;
  /** `[ORG/]PROJECT` of the environment or the project file. */
  readonly project: Sourced | undefined;
}

/** One level of precedence: what it says about url, token and context. */
interface Level {
  readonly source: string;
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly context?: string | undefined;
}

/**
 * Precedence: flag, `GRANARY_*` environment, `.granary.toml` of the directory or its parents, saved context. A saved token
 * goes only to the url that it was saved with: a repository's `.granary.toml` cannot send it elsewhere.
 *
 * @param flag values of the global flags
 * @param directory where the search for `.granary.toml` begins
 * @throws GranaryError CONFIG_INVALID, NOT_FOUND for a context that is not saved, USAGE for a url that is none
 */
export function resolveSettings(options: {
  flag: (name: string) => string | undefined;
  env: Environment;
  directory: string;
}): Settings {
  const { flag, env, directory } = options;
  const saved = readContexts(env);
  const projectFile = findProjectFile(directory);
  const levels: Level[] = [
    { source: "flag", url: flag("url"), token: flag("token"), context: flag("context") },
    {
      source: "environment",
      url: nonEmpty(env["GRANARY_URL"]),
      token: nonEmpty(env["GRANARY_TOKEN"]),
      context: nonEmpty(env["GRANARY_CONTEXT"]),
    },
    { source: projectFile?.file ?? "", url: projectFile?.url, context: projectFile?.context },
    {
      source: "saved contexts",
      context: saved.current ?? (saved.contexts["local"] === undefined ? undefined : "local"),
    },
  ];
  const url = pickUrl(levels, saved);
  const chosen = pickContext(levels, saved, url.value);
  const project = nonEmpty(env["GRANARY_PROJECT"]);
  return {
    url,
    token: pickToken(levels, saved, url.value),
    context: chosen === undefined ? undefined : { value: chosen.name, source: chosen.source },
    org: chosen?.context.org,
    projectFile,
    project:
      project !== undefined
        ? { value: project, source: "GRANARY_PROJECT" }
        : projectFile?.project === undefined
          ? undefined
          : { value: projectFile.project, source: projectFile.file },
  };
}

function pickUrl(levels: readonly Level[], saved: Contexts): Sourced {
  for (const level of levels) {
    if (level.url !== undefined) return { value: parseFarmUrl(level.url), source: level.source };
    if (level.context !== undefined)
      return {
        value: parseFarmUrl(savedContext(level.context, saved).url),
        source: `context ${level.context}`,
      };
  }
  return { value: DEFAULT_URL, source: "default" };
}

function pickToken(levels: readonly Level[], saved: Contexts, url: string): Sourced | undefined {
  for (const level of levels) {
    if (level.token !== undefined) return { value: level.token, source: level.source };
    if (level.context === undefined) continue;
    const context = savedContext(level.context, saved);
    if (context.token !== undefined && parseFarmUrl(context.url) === url)
      return { value: context.token, source: `context ${level.context}` };
  }
  return undefined;
}

/** What is not plain from the url that nobody answers at: why, and where it came from when it was not given here. Empty: nothing. */
export function describeUrl({ source }: Sourced, reason: unknown): string {
  const isPlain = source === "flag" || source === "default";
  const from = source === "environment" ? "GRANARY_URL" : source;
  return [UNREACHED.get(reason), isPlain ? undefined : `the url is from ${from}`]
    .filter((part) => part !== undefined)
    .join("; ");
}

const UNREACHED: ReadonlyMap<unknown, string> = new Map([
  ["ENOTFOUND", "no host of that name is known"],
  ["EAI_AGAIN", "no host of that name is known"],
  ["EHOSTUNREACH", "the host cannot be reached"],
  ["ENETUNREACH", "there is no network to it"],
  ["ETIMEDOUT", "the host does not answer"],
]);

/** Where a token that was refused came from, and whether it was copied whole: never the token itself. */
export function describeToken({ value, source }: Sourced): string {
  const from = { flag: "--token", environment: "GRANARY_TOKEN" }[source] ?? source;
  return parseToken(value) === undefined
    ? `the token is from ${from} and is not a whole one: gr_..., copied to its end`
    : `the token is from ${from}`;
}

function pickContext(
  levels: readonly Level[],
  saved: Contexts,
  url: string,
): { name: string; source: string; context: SavedContext } | undefined {
  for (const level of levels) {
    if (level.context === undefined) continue;
    const context = savedContext(level.context, saved);
    if (parseFarmUrl(context.url) === url) return { name: level.context, source: level.source, context };
  }
  return undefined;
}

/** The url of a farm without a trailing slash. @throws GranaryError USAGE */
export function parseFarmUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== "" ||
    url.search !== "" ||
    url.hash !== ""
  ) {
    throw new GranaryError(
      "USAGE",
      `not the url of a farm: ${JSON.stringify(text.slice(0, 200))}; it looks like ${DEFAULT_URL}`,
    );
  }
  return url.href.replace(/\/+$/, "");
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
