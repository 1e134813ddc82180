import { readFileSync } from "node:fs";
import { GranaryError } from "../../../proto/errors.ts";
import type { Environment } from "../verb-context.ts";
import { readGitHead } from "./git-head.ts";
import { httpUrl } from "./http-url.ts";

export interface DetectedCommit {
  readonly commit: string | undefined;
  /** Where the content comes from, when that is known. */
  readonly sourceUrl: string | undefined;
  readonly dirty: boolean;
  /** What gave the commit, for people. */
  readonly from: string;
}

/** CI systems: variable with the commit, variable or expression with the repository's url. */
const CI_SYSTEMS: readonly {
  readonly name: string;
  readonly commit: string;
  readonly url: (env: Environment) => string | undefined;
}[] = [
  { name: "GitLab CI", commit: "CI_COMMIT_SHA", url: (env) => env["CI_PROJECT_URL"] },
  { name: "CircleCI", commit: "CIRCLE_SHA1", url: (env) => env["CIRCLE_REPOSITORY_URL"] },
  { name: "Buildkite", commit: "BUILDKITE_COMMIT", url: (env) => env["BUILDKITE_REPO"] },
  { name: "Bitbucket Pipelines", commit: "BITBUCKET_COMMIT", url: (env) => env["BITBUCKET_GIT_HTTP_ORIGIN"] },
  { name: "Azure Pipelines", commit: "BUILD_SOURCEVERSION", url: (env) => env["BUILD_REPOSITORY_URI"] },
  { name: "Jenkins", commit: "GIT_COMMIT", url: (env) => env["GIT_URL"] },
];

/**
 * The commit of what is published: flag, GRANARY_COMMIT, the CI's variables (a GitHub pull request's head, not its merge
 * commit), git HEAD of the directory.
 * @throws GranaryError USAGE when a given one is no commit id; COMMIT_REQUIRED when there is none and CI is set
 */
export async function detectCommit(options: {
  flag: string | undefined;
  env: Environment;
  directory: string | undefined;
}): Promise<DetectedCommit> {
  const { flag, env, directory } = options;
  if (flag !== undefined) return given(flag, "--commit");
  const variable = env["GRANARY_COMMIT"];
  if (variable) return given(variable, "GRANARY_COMMIT");
  const fromCi = fromGithub(env) ?? fromOtherCi(env);
  if (fromCi !== undefined) return fromCi;
  const head = directory === undefined ? undefined : await readGitHead(directory, env);
  if (head?.commit !== undefined)
    return { commit: head.commit, sourceUrl: head.originUrl, dirty: head.dirty, from: "git" };
  if (env["CI"] && env["CI"] !== "false") {
    throw new GranaryError(
      "COMMIT_REQUIRED",
      "no commit is known, and CI is set: a release should be traceable",
    );
  }
  return {
    commit: undefined,
    sourceUrl: undefined,
    dirty: false,
    from: head?.problem ?? "this is no git repository",
  };
}

function given(text: string, from: string): DetectedCommit {
  if (!/^[0-9a-f]{7,64}$/i.test(text)) {
    throw new GranaryError(
      "USAGE",
      `${from} wants a commit id of 7 to 64 hex digits, not ${JSON.stringify(text.slice(0, 80))}`,
    );
  }
  return { commit: text.toLowerCase(), sourceUrl: undefined, dirty: false, from };
}

function fromGithub(env: Environment): DetectedCommit | undefined {
  const sha = env["GITHUB_SHA"];
  if (!sha) return undefined;
  const repository = env["GITHUB_REPOSITORY"];
  const sourceUrl = repository
    ? `${env["GITHUB_SERVER_URL"] ?? "https://github.com"}/${repository}`
    : undefined;
  // For pull requests GITHUB_SHA is a merge commit that nobody has in a clone.
  const head = env["GITHUB_EVENT_NAME"]?.startsWith("pull_request")
    ? pullRequestHead(env["GITHUB_EVENT_PATH"])
    : undefined;
  return { ...given(head ?? sha, head === undefined ? "GITHUB_SHA" : "the pull request's head"), sourceUrl };
}

function pullRequestHead(eventFile: string | undefined): string | undefined {
  if (!eventFile) return undefined;
  try {
    const event: { pull_request?: { head?: { sha?: unknown } } } = JSON.parse(
      readFileSync(eventFile, "utf8"),
    );
    const sha = event.pull_request?.head?.sha;
    return typeof sha === "string" ? sha : undefined;
  } catch {
    return undefined;
  }
}

function fromOtherCi(env: Environment): DetectedCommit | undefined {
  for (const system of CI_SYSTEMS) {
    const commit = env[system.commit];
    if (commit) return { ...given(commit, system.commit), sourceUrl: httpUrl(system.url(env)) };
  }
  return undefined;
}
