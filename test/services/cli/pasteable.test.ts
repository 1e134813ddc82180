import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../helpers/cli.ts";
import { fakePublish, fakeRelease, sendJson, startFakeFarm } from "./fake-farm.ts";

const BOT = "/v1/orgs/acme/projects/bot";

test("every line that is printed for pasting goes to the farm that --url named", async (t) => {
  const held = {
    level: "project",
    reason: "r",
    since: "2026-01-02T03:04:06Z",
    by: { kind: "token", id: "t1" },
  };
  const change = { ...fakeRelease(), changed: true, from: "v41", to: "v42", cause: "activate", held };
  const release = fakeRelease({ activated: false, state: "ready", not_activated_reason: "held" });
  const publish = fakePublish({ state: "ready", release, held });
  const why = {
    ...fakePublish(),
    about: "publish",
    reasons: [{ code: "held", text: "`granary unhold acme/bot` lets it go" }],
    next: "granary wait pub_1",
  };
  const farm = await startFakeFarm({
    [`POST ${BOT}/activations`]: ({ response }) => sendJson(response, 200, change),
    [`POST ${BOT}/rollbacks`]: ({ response }) => sendJson(response, 200, change),
    [`POST ${BOT}/previews/pr-1:promote`]: ({ response }) => sendJson(response, 200, release),
    "GET /v1/publishes/pub_1": ({ response }) => sendJson(response, 200, publish),
    "GET /v1/publishes/pub_2": ({ response }) => sendJson(response, 200, fakePublish()),
    "GET /v1/publishes/pub_1/why": ({ response }) => sendJson(response, 200, why),
    "POST /v1/orgs": ({ response }) => sendJson(response, 201, { org: "acme" }),
  });
  t.after(() => farm.close());
  const lines: readonly (readonly [args: string, commands: number])[] = [
    ["activate acme/bot@v42", 2],
    ["activate acme/bot", 1],
    ["activate acme/bot@preview/pr-1", 1],
    ["rollback acme/bot", 2],
    ["retire acme/bot@current", 1],
    ["preview promote acme/bot pr-1", 1],
    ["wait pub_1", 2],
    ["wait pub_1 --require-active", 2],
    ["wait pub_2 --timeout 1s", 2],
    ["why pub_1", 2],
    ["org create acme", 1],
  ];
  for (const [args, commands] of lines) {
    const words = [...args.split(" "), "--url", farm.url];
    const { stdout, stderr } = await runCli(words, { env: { GRANARY_TOKEN: "gr_test" } });
    const printed = [...`${stdout}${stderr}`.matchAll(/\bgranary (?![^`\n]*--help)[^`\n;]*/g)].map(
      ([line]) => line,
    );
    assert.equal(printed.length, commands, `${args}:\n${stdout}${stderr}`);
    for (const line of printed) assert.ok(line.includes(` --url ${farm.url}`), `${args}: ${line}`);
  }
});
