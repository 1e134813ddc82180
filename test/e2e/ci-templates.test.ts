import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import type { TrustJson } from "../../proto/http-trust.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { send } from "../helpers/farm-requests.ts";
import { type OidcIssuer, sendJson, startOidcIssuer } from "../helpers/oidc-issuer.ts";
import { readYaml } from "../helpers/read-yaml.ts";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";

const folder = tempDir("ci");
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
let farm: TestFarm;
let github: OidcIssuer;
let gitlab: OidcIssuer;
let content = 0;

before(async () => {
  github = await startOidcIssuer({
    claims: { repository_id: "4711", repository_owner_id: "99", sub: "repo:acme/bot:ref:refs/heads/main" },
  });
  gitlab = await startOidcIssuer({
    claims: { project_id: "12", namespace_id: "3", sub: "project_path:acme/bot" },
  });
  const config = join(folder, "farm.toml");
  writeFileSync(config, `oidc_issuers = [${JSON.stringify(github.url)}, ${JSON.stringify(gitlab.url)}]\n`);
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--config", config] });
  await addTrust("github", github, { repository_id: "4711" });
  await addTrust("gitlab", gitlab, { project_id: "12" });
  // GitHub's own endpoint: a job that may have id tokens gets one for the audience that it names.
  github.overrides.set("/id-token", (request, response) => {
    const audience = new URL(request.url ?? "", github.url).searchParams.get("audience") ?? "";
    if (request.headers.authorization !== "Bearer runner-secret") return void response.writeHead(401).end();
    void github.sign({ aud: audience }).then((value) => sendJson(response, { count: 1, value }));
  });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  await Promise.all([github.close(), gitlab.close()]);
  removeDir(folder);
});

let workspace: string;
beforeEach(() => {
  workspace = join(folder, `workspace-${++content}`);
  mkdirSync(workspace);
  writeFileSync(join(workspace, "app.py"), `print(${content})\n`);
});

async function addTrust(provider: string, issuer: OidcIssuer, claims: object): Promise<void> {
  const json = {
    provider,
    issuer: issuer.url,
    audience: farm.url,
    claims,
    scopes: ["publish", "preview", "read"],
  };
  const answer = await send<TrustJson>(farm, "/v1/orgs/default/trusts", { json });
  assert.equal(answer.status, 201, answer.text);
}

interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Runs one line of a job as its runner does. */
function shell(script: string, env: Readonly<Record<string, string>>): Promise<Ran> {
  return new Promise((resolve) => {
    const base = {
      PATH: process.env["PATH"] ?? "",
      HOME: workspace,
      TMPDIR: folder,
      CI: "true",
      NO_COLOR: "1",
    };
    const options = { cwd: workspace, env: { ...base, ...env }, timeout: 60_000 };
    execFile(
      "bash",
      ["--noprofile", "--norc", "-eo", "pipefail", "-c", script],
      options,
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr }),
    );
  });
}

interface Action {
  readonly inputs: Readonly<Record<string, { default?: string; required?: string; description: string }>>;
  readonly outputs: Readonly<Record<string, { value: string }>>;
  readonly runs: {
    using: string;
    steps: readonly { id: string; shell: string; env: Record<string, string>; run: string }[];
  };
}

const ACTION = join(REPOSITORY_ROOT, "deploy/github-action");

function readAction(): Action {
  return readYaml(readFileSync(join(ACTION, "action.yml"), "utf8")) as unknown as Action;
}

/** What GitHub does with a composite action: inputs, steps, outputs. */
async function runAction(
  given: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Ran & { outputs: Record<string, string> }> {
  const action = readAction();
  const stepOutputs = new Map<string, string>();
  const value = (text: string): string =>
    text.replace(/\$\{\{ (\S+) \}\}/g, (_whole, expression: string) => {
      const [, input] = /^inputs\.(.+)$/.exec(expression) ?? [];
      if (input !== undefined) return given[input] ?? action.inputs[input]?.default ?? "";
      return stepOutputs.get(expression) ?? "";
    });
  let last: Ran = { code: 0, output: "" };
  for (const step of action.runs.steps) {
    assert.equal(step.shell, "bash");
    assert.ok(!step.run.includes("${{"), "an input in a script could run as part of it");
    const file = join(workspace, `../output-${content}`);
    writeFileSync(file, "");
    const stepEnv = Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, value(text)]));
    last = await shell(step.run, {
      GITHUB_ACTIONS: "true",
      GITHUB_SHA: COMMIT,
      GITHUB_ACTION_PATH: ACTION,
      GITHUB_OUTPUT: file,
      ...env,
      ...stepEnv,
    });
    for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
      const at = line.indexOf("=");
      stepOutputs.set(`steps.${step.id}.outputs.${line.slice(0, at)}`, line.slice(at + 1));
    }
    if (last.code !== 0) break;
  }
  const outputs = Object.fromEntries(
    Object.entries(action.outputs).map(([name, one]) => [name, value(one.value)]),
  );
  return { ...last, outputs };
}

function idTokenEnv(): Record<string, string> {
  return {
    ACTIONS_ID_TOKEN_REQUEST_URL: `${github.url}/id-token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "runner-secret",
  };
}

describe("the GitHub Action", () => {
  test("has the inputs and outputs of the contract", () => {
    const { inputs, outputs, runs } = readAction();
    assert.deepEqual(Object.keys(inputs).sort(), ["activate", "path", "preview", "project", "url"]);
    assert.deepEqual(Object.keys(outputs).sort(), ["image-ref", "publish-id", "state", "url", "version"]);
    assert.equal(runs.using, "composite");
  });

  test("publishes with the job's id token alone, and says what came of it", async () => {
    const ran = await runAction({ url: farm.url, project: "default/bot" }, idTokenEnv());
    assert.equal(ran.code, 0, ran.output);
    const { outputs } = ran;
    assert.deepEqual([outputs["version"], outputs["state"]], ["v1", "active"]);
    assert.match(outputs["image-ref"] ?? "", /\/default\/bot@sha256:[0-9a-f]{64}$/);
    assert.match(outputs["publish-id"] ?? "", /^pub_/);
    assert.match(outputs["url"] ?? "", /\/releases\/v1$/);
    const current = await farm.json<{ commit: string }>("/v1/orgs/default/projects/bot/current");
    assert.equal(current.commit, COMMIT);
    assert.ok(!ran.output.includes("runner-secret") && !ran.output.includes("gr_tok"), "no secret is shown");
  });

  test("takes a path, does not activate, and publishes previews", async () => {
    mkdirSync(join(workspace, "dir with space"));
    writeFileSync(join(workspace, "dir with space", "a.txt"), `${content}`);
    const ready = await runAction(
      { url: farm.url, project: "default/parked", path: "dir with space", activate: "false" },
      idTokenEnv(),
    );
    assert.equal(ready.code, 0, ready.output);
    assert.deepEqual([ready.outputs["version"], ready.outputs["state"]], ["v1", "ready"]);
    const preview = await runAction({ url: farm.url, project: "default/bot", preview: "pr-7" }, idTokenEnv());
    assert.equal(preview.code, 0, preview.output);
    assert.deepEqual([preview.outputs["version"], preview.outputs["state"]], ["", "ready"]);
    assert.match(preview.outputs["image-ref"] ?? "", /@sha256:/);
  });

  test("fails with the reason when the farm does not trust the job, and inputs are no script", async () => {
    github.overrides.set("/other", (request, response) => {
      const audience = new URL(request.url ?? "", github.url).searchParams.get("audience") ?? "";
      void github
        .sign({ aud: audience, repository_id: "4712" })
        .then((value) => sendJson(response, { value }));
    });
    const env = { ...idTokenEnv(), ACTIONS_ID_TOKEN_REQUEST_URL: `${github.url}/other` };
    const refused = await runAction({ url: farm.url, project: "default/bot" }, env);
    assert.equal(refused.code, 5, refused.output);
    assert.match(refused.output, /ID_TOKEN_REFUSED.*repository_id=4712/);
    assert.deepEqual([refused.outputs["state"], refused.outputs["publish-id"]], ["failed", ""]);
    writeFileSync(join(workspace, "karta.toml"), "entry_point = 3\n");
    const invalid = await runAction({ url: farm.url, project: "default/bot" }, idTokenEnv());
    assert.deepEqual([invalid.code, invalid.outputs["state"]], [2, "failed"]);
    const hostile = await runAction(
      { url: farm.url, project: '"; touch pwned; "$(touch pwned)' },
      idTokenEnv(),
    );
    assert.notEqual(hostile.code, 0);
    assert.throws(() => readFileSync(join(workspace, "pwned")));
    const odd = await runAction({ url: farm.url, project: "default/bot", activate: "yes" }, idTokenEnv());
    assert.equal(odd.code, 1);
  });
});

describe("the GitLab template", () => {
  async function runJob(variables: Readonly<Record<string, string>>): Promise<Ran> {
    const text = readFileSync(join(REPOSITORY_ROOT, "deploy/gitlab/granary.gitlab-ci.yml"), "utf8");
    const template = readYaml(text) as unknown as Record<
      string,
      { variables: Record<string, string>; script: string[]; id_tokens: Record<string, { aud: string }> }
    >;
    const job = template[".granary-publish"];
    assert.ok(job !== undefined);
    const env: Record<string, string> = {
      CI_COMMIT_SHA: COMMIT,
      GITLAB_CI: "true",
      ...job.variables,
      ...variables,
      GRANARY_HOME: REPOSITORY_ROOT,
    };
    for (const [name, { aud }] of Object.entries(job.id_tokens))
      env[name] = await gitlab.sign({ aud: aud.replace(/\$(\w+)/g, (_, key: string) => env[key] ?? "") });
    return shell(job.script.join("\n"), env);
  }

  test("publishes with the job's id token alone, and hands its results to later jobs", async () => {
    const ran = await runJob({ GRANARY_URL: farm.url, GRANARY_PROJECT: "default/gitlab-bot" });
    assert.equal(ran.code, 0, ran.output);
    const dotenv = readFileSync(join(workspace, "granary.env"), "utf8");
    assert.match(
      dotenv,
      /^GRANARY_VERSION=v1\nGRANARY_IMAGE_REF=\S+@sha256:[0-9a-f]{64}\nGRANARY_RELEASE_URL=\S+\n/,
    );
    assert.match(dotenv, /^GRANARY_PUBLISH_ID=pub_\w+\nGRANARY_STATE=active\n$/m);
  });
});

test("the lines of docs/publish-from-ci.md that need nothing but curl publish", async (t) => {
  if ((await shell("command -v curl jq", {})).code !== 0) return t.skip("curl or jq is not installed");
  const page = readFileSync(join(REPOSITORY_ROOT, "docs/publish-from-ci.md"), "utf8");
  const script = /```sh\n([\s\S]*?)```/.exec(page)?.[1];
  assert.ok(script !== undefined);
  const job = async (): Promise<Ran> =>
    // GitHub's default shell has no pipefail.
    shell(`set +o pipefail\n${script.replaceAll("acme", "default")}`, {
      GRANARY_URL: farm.url,
      GRANARY_ID_TOKEN: await github.sign({ aud: farm.url }),
      COMMIT,
    });
  const ran = await job();
  assert.equal(ran.code, 0, ran.output);
  assert.match(ran.output, /\/default\/bot@sha256:[0-9a-f]{64}\n$/);
  // Run again on a fresh checkout: the same content in another archive.
  utimesSync(join(workspace, "app.py"), 1, 1);
  assert.deepEqual(await job(), ran);
  writeFileSync(join(workspace, "karta.toml"), "entry_point = 3\n");
  const failed = await job();
  assert.notEqual(failed.code, 0, failed.output);
});

describe("the command line in a CI job", () => {
  test("logs in with the id token, so that several commands share one exchange", async () => {
    const home = { HOME: workspace, XDG_CONFIG_HOME: join(workspace, "config") };
    const idToken = await gitlab.sign({ aud: farm.url });
    const env = { ...home, GRANARY_ID_TOKEN: idToken, GRANARY_ORG: "default" };
    const login = await runCli(["login", "--url", farm.url, "--context", "ci"], { env });
    assert.equal(login.code, 0, login.stderr);
    for (let i = 0; i < 2; i++) {
      const listed = await runCli(["projects"], { env });
      assert.equal(listed.code, 0, listed.stderr);
    }
  });

  test("sends an id token to no farm that it is not for, and asks for the org where nothing names it", async () => {
    const idToken = await gitlab.sign({ aud: "https://other.example" });
    const env = { GRANARY_URL: farm.url, GRANARY_ID_TOKEN: idToken, GRANARY_ORG: "default" };
    const wrong = await runCli(["whoami"], { env });
    assert.equal(wrong.code, 4, wrong.stderr);
    assert.match(wrong.stderr, /not for http/);
    const project = join(workspace, ".granary.toml");
    writeFileSync(project, `url = ${JSON.stringify(farm.url)}\n`);
    const moved = await runCli(["whoami"], {
      env: {
        GRANARY_ID_TOKEN: idToken,
        GRANARY_ORG: "default",
        GRANARY_OIDC_AUDIENCE: "https://other.example",
      },
      cwd: workspace,
    });
    assert.equal(moved.code, 4, moved.stderr);
    assert.match(moved.stderr, /not from .*\.granary\.toml/);
    const nameless = await runCli(["whoami"], { env: { ...env, GRANARY_ORG: "" } });
    assert.match(nameless.stderr, /GRANARY_ORG/);
  });
});
