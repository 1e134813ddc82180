import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { detectCommit } from "../../../services/cli/publish/detect-commit.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";
const HEAD_SHA = "fedcba9876543210fedcba9876543210fedcba98";
const ENV = { PATH: process.env["PATH"], HOME: "/nonexistent" };
const WITHOUT_GIT = spawnSync("git", ["--version"]).status === 0 ? false : "git is not installed";

test("the flag comes first, then GRANARY_COMMIT, then the CI, then git", async () => {
  const env = { ...ENV, GRANARY_COMMIT: "abcdef1", GITHUB_SHA: SHA };
  assert.equal((await detect({ flag: "ABCDEF0", env })).commit, "abcdef0");
  assert.equal((await detect({ env })).commit, "abcdef1");
  assert.equal((await detect({ env: { ...ENV, GITHUB_SHA: SHA } })).commit, SHA);
});

test("something that is no commit id is a usage error", async () => {
  await assert.rejects(detect({ flag: "main" }), hasCode("USAGE"));
  await assert.rejects(detect({ env: { ...ENV, GRANARY_COMMIT: "v1.0" } }), hasCode("USAGE"));
});

test("a GitHub pull request is published under its head, not its merge commit", async () => {
  const eventFile = path.join(tempFolder(), "event.json");
  writeFileSync(eventFile, JSON.stringify({ pull_request: { head: { sha: HEAD_SHA } } }));
  const env = {
    ...ENV,
    GITHUB_SHA: SHA,
    GITHUB_EVENT_NAME: "pull_request",
    GITHUB_EVENT_PATH: eventFile,
    GITHUB_REPOSITORY: "acme/bot",
  };
  const found = await detect({ env });
  assert.equal(found.commit, HEAD_SHA);
  assert.equal(found.sourceUrl, "https://github.com/acme/bot");
  assert.equal((await detect({ env: { ...env, GITHUB_EVENT_NAME: "push" } })).commit, SHA);
});

test("GitLab's commit is found, and its project's url without credentials", async () => {
  const found = await detect({
    env: { ...ENV, CI: "true", CI_COMMIT_SHA: SHA, CI_PROJECT_URL: "https://user:pw@gitlab.test/acme/bot" },
  });
  assert.equal(found.commit, SHA);
  assert.equal(found.sourceUrl, "https://gitlab.test/acme/bot");
});

test("without any commit a CI run is refused and others go on", async () => {
  await assert.rejects(detect({ env: { ...ENV, CI: "true" } }), hasCode("COMMIT_REQUIRED"));
  const found = await detect({ env: { ...ENV, CI: "false" } });
  assert.equal(found.commit, undefined);
  assert.match(found.from, /no git repository/);
});

test("git HEAD is found from a subdirectory, and dirty means changed there", {
  skip: WITHOUT_GIT,
}, async () => {
  const root = repository();
  const clean = await detect({ directory: path.join(root, "app") });
  assert.match(clean.commit ?? "", /^[0-9a-f]{40}$/);
  assert.equal(clean.dirty, false);
  writeFileSync(path.join(root, "other"), "changed elsewhere");
  assert.equal((await detect({ directory: path.join(root, "app") })).dirty, false);
  writeFileSync(path.join(root, "app/new"), "untracked");
  assert.equal((await detect({ directory: path.join(root, "app") })).dirty, true);
  assert.equal((await detect({ directory: root })).dirty, true);
});

test("a repository without commits has no commit, and says so", { skip: WITHOUT_GIT }, async () => {
  const root = tempFolder();
  execFileSync("git", ["init", "-q", root]);
  const found = await detect({ directory: root });
  assert.equal(found.commit, undefined);
  assert.match(found.from, /no commit yet/);
});

test("a repository cannot run its own programs through git status", { skip: WITHOUT_GIT }, async () => {
  const root = repository();
  const mark = path.join(root, "was-run");
  const hook = path.join(root, ".git/monitor.sh");
  writeFileSync(hook, `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
  execFileSync("git", ["-C", root, "config", "core.fsmonitor", hook]);
  await detect({ directory: root });
  assert.throws(() => execFileSync("test", ["-e", mark]));
});

function detect(options: {
  flag?: string;
  env?: Readonly<Record<string, string | undefined>>;
  directory?: string;
}): ReturnType<typeof detectCommit> {
  return detectCommit({
    flag: options.flag,
    env: options.env ?? ENV,
    directory: options.directory ?? tempFolder(),
  });
}

function repository(): string {
  const root = tempFolder();
  const git = (...args: string[]): void => {
    execFileSync("git", ["-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args]);
  };
  execFileSync("git", ["init", "-q", root]);
  execFileSync("mkdir", [path.join(root, "app")]);
  writeFileSync(path.join(root, "app/a"), "a");
  writeFileSync(path.join(root, "other"), "o");
  git("add", ".");
  git("commit", "-qm", "first");
  return root;
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GranaryError && error.code === code;
}
