import { execFile } from "node:child_process";
import type { Environment } from "../verb-context.ts";
import { httpUrl } from "./http-url.ts";

export interface GitHead {
  readonly commit?: string;
  readonly dirty: boolean;
  readonly originUrl?: string | undefined;
  /** Why there is no commit. */
  readonly problem?: string;
}

const TIMEOUT_MS = 20_000;
/** A repository's own configuration can name programs that git runs: those are switched off. */
const SAFE = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"];

/** HEAD of the repository that a directory is in, and whether the directory differs from it. */
export async function readGitHead(directory: string, env: Environment): Promise<GitHead> {
  const git = (...args: string[]): Promise<GitAnswer> => run(["-C", directory, ...SAFE, ...args], env);
  const [head, status, origin] = await Promise.all([
    git("rev-parse", "--verify", "--quiet", "HEAD^{commit}"),
    git("status", "--porcelain", "--untracked-files=normal", "--", "."),
    git("config", "--get", "remote.origin.url"),
  ]);
  if (!head.ok) return { dirty: false, problem: problemOf(head) };
  return {
    commit: head.stdout.trim(),
    dirty: !status.ok || status.stdout.trim() !== "",
    originUrl: origin.ok ? httpUrl(origin.stdout.trim()) : undefined,
  };
}

type GitAnswer =
  | { readonly ok: true; readonly stdout: string }
  | { readonly ok: false; readonly missing: boolean; readonly stderr: string };

function run(args: string[], env: Environment): Promise<GitAnswer> {
  return new Promise((resolve) => {
    const options = {
      env: { ...env, LC_ALL: "C" },
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
      encoding: "utf8" as const,
    };
    execFile("git", args, options, (error, stdout, stderr) => {
      if (error === null) resolve({ ok: true, stdout });
      else resolve({ ok: false, missing: error.code === "ENOENT", stderr });
    });
  });
}

function problemOf(answer: Extract<GitAnswer, { ok: false }>): string {
  if (answer.missing) return "git is not installed";
  const line = answer.stderr.split("\n").find((text) => text.trim() !== "");
  if (line === undefined) return "the git repository has no commit yet";
  return line.includes("not a git repository") ? "this is no git repository" : line.replace(/^fatal: /, "");
}
